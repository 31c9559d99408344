"""Elastic weight consolidation: eval-mode backwards collect squared gradients (no step), then a second task is learned."""
import torch
import torch.nn as nn
import torch.nn.functional as F
from sklearn.datasets import load_digits


def split(X, Y, classes):
    keep = torch.isin(Y, torch.tensor(classes))
    x, y = X[keep], Y[keep]
    cut = int(0.8 * len(y))
    return x[:cut], y[:cut], x[cut:], y[cut:]


def fit(model, x, y, penalty, epochs=4):
    opt = torch.optim.Adam(model.parameters(), lr=3e-3)
    log = []
    model.train()
    for _ in range(epochs):
        for idx in torch.randperm(len(y)).split(50):
            loss = F.cross_entropy(model(x[idx]), y[idx]) + penalty(model)
            opt.zero_grad()
            loss.backward()
            opt.step()
            log.append(loss.item())
    return log


def fisher(model, x, y, samples=120):
    """Diagonal Fisher information; gradients are read and thrown away."""
    model.eval()
    total = {n: torch.zeros_like(p) for n, p in model.named_parameters()}
    for i in torch.randperm(len(y))[:samples].tolist():
        model.zero_grad()
        F.cross_entropy(model(x[i:i + 1]), y[i:i + 1]).backward()
        for n, p in model.named_parameters():
            total[n] += p.grad.pow(2) / samples
    model.zero_grad()
    return total


@torch.no_grad()
def accuracy(model, x, y):
    model.eval()
    return (model(x).argmax(1) == y).float().mean().item()


torch.manual_seed(175)
X, Y = load_digits(return_X_y=True)
perm = torch.randperm(len(Y))
X, Y = torch.tensor(X / 16 - 0.3, dtype=torch.float32)[perm], torch.tensor(Y)[perm]
ax, ay, axt, ayt = split(X, Y, [0, 1, 2, 3, 4])
bx, by, bxt, byt = split(X, Y, [5, 6, 7, 8, 9])
model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Dropout(0.1), nn.Linear(64, 10))
log_a = fit(model, ax, ay, lambda m: 0.0)
F_a = fisher(model, ax, ay)
anchor = {n: p.detach().clone() for n, p in model.named_parameters()}
before = accuracy(model, axt, ayt)
log_b = fit(model, bx, by, lambda m: 200.0 * sum((F_a[n] * (p - anchor[n]).pow(2)).sum() for n, p in m.named_parameters()))
print(f"task A {log_a[0]:.4f} -> {log_a[-1]:.4f} accuracy {before:.4f}")
print(f"task B {log_b[0]:.4f} -> {log_b[-1]:.4f} accuracy {accuracy(model, bxt, byt):.4f}; A afterwards {accuracy(model, axt, ayt):.4f}")
