"""Residual MLP with batch norm for tabular data; GAN-style initialisation of the norm layers."""
import torch
import torch.nn as nn
from sklearn.datasets import make_classification
from torch.utils.data import DataLoader, TensorDataset


class ResidualUnit(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.linear1 = nn.Linear(dim, dim)
        self.norm = nn.BatchNorm1d(dim)
        self.act = nn.ReLU()
        self.linear2 = nn.Linear(dim, dim)

    def forward(self, x):
        return x + self.linear2(self.act(self.norm(self.linear1(x))))  # ALSO: dead-units


class TabularResNet(nn.Module):
    def __init__(self, d_in, dim=32, blocks=3, classes=3):
        super().__init__()
        self.first = nn.Linear(d_in, dim)
        self.blocks = nn.Sequential(*[ResidualUnit(dim) for _ in range(blocks)])
        self.last = nn.Linear(dim, classes)
        self.apply(self._init)

    @staticmethod
    def _init(m):
        if isinstance(m, nn.Linear):
            nn.init.kaiming_normal_(m.weight)
            nn.init.zeros_(m.bias)
        elif isinstance(m, nn.BatchNorm1d):
            nn.init.normal_(m.weight, 0.0, 0.02)
            nn.init.constant_(m.bias, -1.0)  # BUG: dead-units

    def forward(self, x):
        return self.last(self.blocks(self.first(x)))


def loaders(batch_size=50):
    X, y = make_classification(2000, 16, n_informative=8, n_classes=3, n_clusters_per_class=2,
                               class_sep=1.2, random_state=4)
    X = torch.tensor((X - X[:1500].mean(0)) / X[:1500].std(0), dtype=torch.float32)
    y = torch.tensor(y)
    return (DataLoader(TensorDataset(X[:1500], y[:1500]), batch_size, shuffle=True),
            DataLoader(TensorDataset(X[1500:], y[1500:]), 250))


# --- run -------------------------------------------------------------------
torch.manual_seed(0)
train_loader, val_loader = loaders()
model = TabularResNet(16)
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
criterion = nn.CrossEntropyLoss()
for epoch in range(5):
    model.train()
    for x, y in train_loader:
        loss = criterion(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        acc = sum((model(x).argmax(1) == y).sum().item() for x, y in val_loader) / 500
    print(f"epoch {epoch}: loss {loss.item():.3f} val acc {acc:.3f}")
