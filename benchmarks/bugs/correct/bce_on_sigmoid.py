"""Multi-label tagger with a sigmoid output layer and BCELoss (the probability version), thresholded at evaluation."""
import torch
import torch.nn as nn
from sklearn.datasets import make_multilabel_classification
from sklearn.metrics import f1_score
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(120)
X, Y = make_multilabel_classification(900, 15, n_classes=4, n_labels=2, random_state=120)
X = torch.tensor(X, dtype=torch.float32)
Y = torch.tensor(Y, dtype=torch.float32)
X = (X - X[:700].mean(0)) / X[:700].std(0)
loader = DataLoader(TensorDataset(X[:700], Y[:700]), batch_size=50, shuffle=True)


class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(15, 32)
        self.out = nn.Linear(32, 4)

    def forward(self, x):
        return torch.sigmoid(self.out(torch.relu(self.hidden(x))))


model = Tagger()
loss_fn = nn.BCELoss()
opt = torch.optim.Adam(model.parameters(), lr=5e-3)
for epoch in range(8):
    s = 0.0
    for x, y in loader:
        loss = loss_fn(model(x), y)
        opt.zero_grad()
        loss.backward()
        opt.step()
        s += loss.item() / len(loader)
    if epoch in (0, 3, 7):
        with torch.no_grad():
            p = model(X[700:])
        print(f"epoch {epoch} train {s:.4f} test {loss_fn(p, Y[700:]).item():.4f} f1 {f1_score(Y[700:].int(), (p > 0.5).int(), average='micro'):.4f}")
