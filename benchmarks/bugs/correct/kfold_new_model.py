"""Five-fold cross-validation: a new model and a new optimizer per fold, every sample trained on and validated on in turn."""
import torch
import torch.nn as nn
from sklearn.datasets import load_wine
from sklearn.model_selection import StratifiedKFold
from torch.utils.data import DataLoader, Subset, TensorDataset

torch.manual_seed(133)
wine = load_wine()
dataset = TensorDataset(torch.tensor(wine.data, dtype=torch.float32), torch.tensor(wine.target))
folds = StratifiedKFold(n_splits=5, shuffle=True, random_state=133)


class Net(nn.Module):
    def __init__(self, mean, std):
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)
        self.layers = nn.Sequential(nn.Linear(13, 24), nn.ReLU(), nn.Linear(24, 3))

    def forward(self, x):
        return self.layers((x - self.mean) / self.std)


scores = []
for fold, (train_idx, valid_idx) in enumerate(folds.split(wine.data, wine.target)):
    train = DataLoader(Subset(dataset, train_idx.tolist()), batch_size=24, shuffle=True)
    valid = DataLoader(Subset(dataset, valid_idx.tolist()), batch_size=64)
    fit_on = dataset.tensors[0][train_idx]
    model = Net(fit_on.mean(0), fit_on.std(0))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for epoch in range(5):
        model.train()
        total = 0.0
        for x, y in train:
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            total += loss.item() / len(train)
    model.eval()
    with torch.no_grad():
        hits = sum((model(x).argmax(1) == y).sum().item() for x, y in valid)
    scores.append(hits / len(valid_idx))
    print(f"fold {fold} loss {total:.4f} accuracy {scores[-1]:.4f}")
print(f"mean {sum(scores) / 5:.4f}")
