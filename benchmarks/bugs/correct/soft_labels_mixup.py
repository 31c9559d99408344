"""Mixup and label smoothing: cross entropy takes probability targets, whose rows sum to one."""
import torch
import torch.nn as nn
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(118)
X, Y = load_digits(return_X_y=True)
ds = TensorDataset(torch.tensor(X / 16 - 0.3, dtype=torch.float32), torch.tensor(Y))
train_ds, test_ds = torch.utils.data.random_split(ds, [1440, 357], generator=torch.Generator().manual_seed(118))
train = DataLoader(train_ds, batch_size=60, shuffle=True)
test_x, test_y = next(iter(DataLoader(test_ds, batch_size=357)))


def smooth(y, classes=10, eps=0.1):
    return F.one_hot(y, classes).float() * (1 - eps) + eps / classes


def mixup(x, target, alpha=0.2):
    lam = torch.distributions.Beta(alpha, alpha).sample().item()
    perm = torch.randperm(len(x))
    return lam * x + (1 - lam) * x[perm], lam * target + (1 - lam) * target[perm]


model = nn.Sequential(nn.Linear(64, 96), nn.LeakyReLU(0.1), nn.Linear(96, 10))
opt = torch.optim.SGD(model.parameters(), lr=0.2, momentum=0.9, weight_decay=0.0)
criterion = nn.CrossEntropyLoss()
for epoch in range(4):
    model.train()
    total = 0.0
    for x, y in train:
        x, target = mixup(x, smooth(y))
        loss = criterion(model(x), target)
        opt.zero_grad()
        loss.backward()
        opt.step()
        total += loss.item() / len(train)
    model.eval()
    with torch.no_grad():
        logits = model(test_x)
    hard, acc = criterion(logits, test_y).item(), (logits.argmax(1) == test_y).float().mean().item()
    print(f"epoch {epoch} soft {total:.4f} test hard {hard:.4f} acc {acc:.4f}")
