"""Per-group LambdaLR keeps the backbone's learning rate at 0 for the first two epochs, then lets it train."""
import torch
import torch.nn as nn
from sklearn.datasets import load_wine
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(30)
wine = load_wine()
X = torch.tensor(wine.data, dtype=torch.float32)
y = torch.tensor(wine.target)
perm = torch.randperm(len(y))
tr, te = perm[:132], perm[132:]
X = (X - X[tr].mean(0)) / X[tr].std(0)
loader = DataLoader(TensorDataset(X[tr], y[tr]), batch_size=33, shuffle=True)

backbone = nn.Sequential(nn.Linear(13, 24), nn.Tanh(), nn.Linear(24, 24), nn.Tanh())
head = nn.Linear(24, 3)
optimizer = torch.optim.AdamW([
    {"params": backbone.parameters(), "lr": 3e-3},
    {"params": head.parameters(), "lr": 1e-2},
], weight_decay=0.0)
scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, [lambda e: 0.0 if e < 2 else 1.0, lambda e: 0.95 ** e])

for epoch in range(7):
    before = backbone[0].weight.detach().clone()
    total = 0.0
    for xb, yb in loader:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(head(backbone(xb)), yb)
        loss.backward()
        optimizer.step()
        total += loss.item() / len(loader)
    scheduler.step()
    moved = (backbone[0].weight - before).abs().max().item() > 0
    print(f"epoch {epoch} loss {total:.4f} backbone moved {moved}")

with torch.no_grad():
    print("test", round((head(backbone(X[te])).argmax(1) == y[te]).float().mean().item(), 4))
