"""CosineAnnealingWarmRestarts stepped with a fractional epoch inside the batch loop."""
import torch
import torch.nn as nn
from sklearn.datasets import make_classification
from torch.utils.data import DataLoader, TensorDataset

# %% data
torch.manual_seed(32)
X, y = make_classification(1000, 12, n_informative=8, class_sep=1.5, random_state=32)
X = torch.tensor(X, dtype=torch.float32)
X = (X - X[:800].mean(0)) / X[:800].std(0)
y = torch.tensor(y, dtype=torch.float32)
loader = DataLoader(TensorDataset(X[:800], y[:800]), batch_size=64, shuffle=True)

# %% model
net = nn.Sequential(nn.Linear(12, 32), nn.ReLU(), nn.Linear(32, 1), nn.Flatten(0))
optimizer = torch.optim.SGD(net.parameters(), lr=0.2, momentum=0.9, nesterov=True)
scheduler = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, T_0=1, T_mult=2, eta_min=1e-3)

# %% train
iters = len(loader)
lr_seen = []
for epoch in range(7):
    total = 0.0
    for i, (xb, yb) in enumerate(loader):
        optimizer.zero_grad()
        loss = nn.functional.binary_cross_entropy_with_logits(net(xb), yb)
        loss.backward()
        optimizer.step()
        scheduler.step(epoch + i / iters)
        lr_seen.append(optimizer.param_groups[0]["lr"])
        total += loss.item() / iters
    print(f"epoch {epoch} loss {total:.4f}")

# %% look at it
with torch.no_grad():
    acc = ((net(X[800:]) > 0).float() == y[800:]).float().mean().item()
print("lr range", round(min(lr_seen), 4), round(max(lr_seen), 4), "held-out accuracy", round(acc, 4))
