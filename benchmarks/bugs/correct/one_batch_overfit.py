"""Sanity check before a long run: can the network memorise one batch? Then the real, short training."""
import itertools

import torch
import torch.nn as nn
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader, TensorDataset


def build():
    return nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))


def overfit(model, batch, steps):
    x, y = batch
    opt = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(steps):
        opt.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        opt.step()
    with torch.no_grad():
        return loss.item(), (model(x).argmax(1) == y).float().mean().item()


def train(model, loader, steps):
    opt = torch.optim.Adam(model.parameters(), lr=5e-3)
    losses = []
    for x, y in itertools.islice(loader, steps):
        opt.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        opt.step()
        losses.append(loss.item())
    return losses


torch.manual_seed(115)
X, Y = load_digits(return_X_y=True)
ds = TensorDataset(torch.tensor(X / 16 - 0.3, dtype=torch.float32), torch.tensor(Y))
tr, te = torch.utils.data.random_split(ds, [1400, 397])
loader = DataLoader(tr, batch_size=32, shuffle=True)

loss, acc = overfit(build(), next(iter(loader)), 60)
print(f"one batch: loss {loss:.5f} accuracy {acc:.2f}")

model = build()
losses = train(model, loader, 43)
x, y = next(iter(DataLoader(te, batch_size=397)))
with torch.no_grad():
    acc = (model(x).argmax(1) == y).float().mean().item()
print(f"one epoch: {losses[0]:.4f} -> {sum(losses[-5:]) / 5:.4f} held-out {acc:.4f}")
