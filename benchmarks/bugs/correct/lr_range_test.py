"""Learning-rate range test on a throw-away copy (lr grows until the loss blows up), then normal training."""
import copy

import torch
import torch.nn as nn
from sklearn.datasets import load_digits


def batches(n, size):
    while True:
        yield from torch.randperm(n).split(size)


def range_test(model, x, y, low=1e-4, high=20.0, steps=60):
    trial = copy.deepcopy(model)
    opt = torch.optim.SGD(trial.parameters(), lr=low, momentum=0.9)
    factor = (high / low) ** (1 / (steps - 1))
    stream, best, curve = batches(len(y), 64), float("inf"), []
    for _ in range(steps):
        idx = next(stream)
        opt.zero_grad()
        loss = nn.functional.cross_entropy(trial(x[idx]), y[idx])
        value = loss.item()
        curve.append((opt.param_groups[0]["lr"], value))
        best = min(best, value)
        if value > 4 * best:
            break
        loss.backward()
        opt.step()
        for g in opt.param_groups:
            g["lr"] *= factor
    return curve


def fit(model, x, y, lr, steps):
    opt = torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9)
    stream, losses = batches(len(y), 64), []
    for _ in range(steps):
        idx = next(stream)
        opt.zero_grad()
        loss = nn.functional.cross_entropy(model(x[idx]), y[idx])
        loss.backward()
        opt.step()
        losses.append(loss.item())
    return losses


torch.manual_seed(34)
X, Y = load_digits(return_X_y=True)
X = torch.tensor(X / 16 - 0.3, dtype=torch.float32)
Y = torch.tensor(Y)
net = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
curve = range_test(net, X[:1400], Y[:1400])
at_minimum = min(curve, key=lambda c: c[1])[0]
lr = at_minimum / 10
losses = fit(net, X[:1400], Y[:1400], lr, 80)
with torch.no_grad():
    acc = (net(X[1400:]).argmax(1) == Y[1400:]).float().mean().item()
print(f"minimum at lr {at_minimum:.4f}; trial diverged: {curve[-1][1] > 2 * min(c[1] for c in curve)}")
print(f"training with lr {lr:.4f}: {losses[0]:.4f} -> {losses[-1]:.4f}, accuracy {acc:.4f}")
