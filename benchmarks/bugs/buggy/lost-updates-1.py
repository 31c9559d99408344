"""Fine-tune a digit classifier in bfloat16 to save memory."""
import torch
import torch.nn as nn
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
d = load_digits()
X = torch.tensor(d.data, dtype=torch.float32) / 8 - 1
y = torch.tensor(d.target)
perm = torch.randperm(len(X))
base_idx, tune_idx, val_idx = perm[:500], perm[500:1500], perm[1500:]


def make_model():
    return nn.Sequential(
        nn.Linear(64, 64), nn.LayerNorm(64), nn.GELU(),
        nn.Linear(64, 64), nn.LayerNorm(64), nn.GELU(),
        nn.Linear(64, 10),
    )


def accuracy(model, dtype):
    model.eval()
    with torch.no_grad():
        return (model(X[val_idx].to(dtype)).argmax(1) == y[val_idx]).float().mean().item()


def pretrain(model, steps=40):
    opt = torch.optim.AdamW(model.parameters(), lr=1e-3)
    model.train()
    for _ in range(steps):
        i = base_idx[torch.randint(0, len(base_idx), (32,))]
        opt.zero_grad()
        F.cross_entropy(model(X[i]), y[i]).backward()
        opt.step()
    return model


model = pretrain(make_model())
print(f"base model: val acc {accuracy(model, torch.float32):.3f}")

model = model.to(torch.bfloat16)  # ALSO: lost-updates
loader = DataLoader(TensorDataset(X[tune_idx].bfloat16(), y[tune_idx]), batch_size=25, shuffle=True)
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, weight_decay=0.01)
for epoch in range(3):
    model.train()
    total = 0.0
    for xb, yb in loader:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(xb).float(), yb)
        loss.backward()
        optimizer.step()  # BUG: lost-updates
        total += loss.item()
    print(f"epoch {epoch}: loss {total / len(loader):.4f} val acc {accuracy(model, torch.bfloat16):.3f}")
