"""Stratified mini-batches of six (two of each class, in class order) for a small imbalanced table, group norm inside."""
import torch
import torch.nn as nn
from sklearn.datasets import load_wine


class StratifiedBatches:
    def __init__(self, y, per_class, g):
        self.pools = [torch.nonzero(y == c).flatten() for c in range(int(y.max()) + 1)]
        self.per_class, self.g = per_class, g

    def __iter__(self):
        shuffled = [p[torch.randperm(len(p), generator=self.g)] for p in self.pools]
        n = min(len(p) for p in shuffled) // self.per_class
        for k in range(n):
            yield torch.cat([p[k * self.per_class:(k + 1) * self.per_class] for p in shuffled])


torch.manual_seed(125)
g = torch.Generator().manual_seed(125)
data = load_wine()
X, y = torch.tensor(data.data, dtype=torch.float32), torch.tensor(data.target)
perm = torch.randperm(178, generator=g)
tr, te = perm[:128], perm[128:]
X = (X - X[tr].mean(0)) / X[tr].std(0)
sampler = StratifiedBatches(y[tr], 2, g)
net = nn.Sequential(nn.Linear(13, 24), nn.GroupNorm(4, 24), nn.ReLU(), nn.Linear(24, 3))
opt = torch.optim.SGD(net.parameters(), lr=0.03, momentum=0.8)
for epoch in range(5):
    total, n = 0.0, 0
    for idx in sampler:
        loss = nn.functional.cross_entropy(net(X[tr][idx]), y[tr][idx])
        opt.zero_grad()
        loss.backward()
        opt.step()
        total, n = total + loss.item(), n + 1
    with torch.no_grad():
        acc = (net(X[te]).argmax(1) == y[te]).float().mean().item()
    print(f"epoch {epoch} loss {total / n:.4f} test {acc:.4f}")
