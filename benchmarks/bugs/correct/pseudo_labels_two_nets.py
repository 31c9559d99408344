"""Co-teaching on noisy labels: each of two networks picks its small-loss samples, on which the other one is trained."""
import torch
import torch.nn as nn
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(198)
X, Y = load_digits(return_X_y=True)
perm = torch.randperm(len(Y))
X, Y = torch.tensor(X / 16 - 0.3, dtype=torch.float32)[perm], torch.tensor(Y)[perm]
noisy = Y.clone()
flip = torch.rand(len(Y)) < 0.3
noisy[flip] = torch.randint(0, 10, (int(flip.sum()),))
loader = DataLoader(TensorDataset(X[:1400], noisy[:1400]), batch_size=100, shuffle=True)


def build():
    return nn.Sequential(nn.Linear(64, 96), nn.ReLU(), nn.Linear(96, 10))


f, g = build(), build()
opt_f = torch.optim.Adam(f.parameters(), lr=4e-3)
opt_g = torch.optim.Adam(g.parameters(), lr=4e-3)


def select(net, x, y, keep):
    with torch.no_grad():
        per_sample = F.cross_entropy(net(x), y, reduction="none")
    return per_sample.argsort()[:int(keep * len(y))]


for epoch in range(6):
    keep = 1.0 - 0.25 * min(1.0, epoch / 3)
    sums = [0.0, 0.0]
    for x, y in loader:
        idx_f, idx_g = select(f, x, y, keep), select(g, x, y, keep)
        loss_f = F.cross_entropy(f(x[idx_g]), y[idx_g])
        loss_g = F.cross_entropy(g(x[idx_f]), y[idx_f])
        opt_f.zero_grad()
        opt_g.zero_grad()
        (loss_f + loss_g).backward()
        opt_f.step()
        opt_g.step()
        sums = [s + l.item() / len(loader) for s, l in zip(sums, (loss_f, loss_g))]
    with torch.no_grad():
        acc = ((f(X[1400:]).softmax(1) + g(X[1400:]).softmax(1)).argmax(1) == Y[1400:]).float().mean().item()
    if epoch % 2:
        print(f"epoch {epoch} kept {keep:.2f} losses {sums[0]:.4f} {sums[1]:.4f} clean accuracy {acc:.4f}")
