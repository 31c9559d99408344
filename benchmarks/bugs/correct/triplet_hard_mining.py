"""Metric learning with batch-hard triplets from a pairwise distance matrix built by broadcasting."""
import torch
import torch.nn as nn
from sklearn.datasets import load_wine
from torch.utils.data import DataLoader, Sampler, TensorDataset


class PKSampler(Sampler):
    """P classes times K samples in each batch."""

    def __init__(self, labels, k, batches):
        self.groups = [(labels == c).nonzero().squeeze(1) for c in labels.unique()]
        self.k, self.batches = k, batches

    def __iter__(self):
        for _ in range(self.batches):
            yield torch.cat([g[torch.randperm(len(g))[:self.k]] for g in self.groups]).tolist()

    def __len__(self):
        return self.batches


def pairwise(e):
    diff = e[:, None, :] - e[None, :, :]
    return (diff.pow(2).sum(-1) + 1e-9).sqrt()


def batch_hard(e, y, margin=0.5):
    d = pairwise(e)
    same = y[:, None] == y[None, :]
    hardest_positive = (d * same).max(1).values
    hardest_negative = d.masked_fill(same, float("inf")).min(1).values
    return torch.relu(hardest_positive - hardest_negative + margin).mean()


def knn_accuracy(net, xb, yb, xq, yq):
    net.eval()
    with torch.no_grad():
        d = torch.cdist(net(xq), net(xb))
    net.train()
    return (yb[d.topk(3, largest=False).indices].mode(1).values == yq).float().mean().item()


torch.manual_seed(64)
wine = load_wine()
order = torch.randperm(178)
X, y = torch.tensor(wine.data, dtype=torch.float32)[order], torch.tensor(wine.target)[order]
X = (X - X[:120].mean(0)) / X[:120].std(0)
loader = DataLoader(TensorDataset(X[:120], y[:120]), batch_sampler=PKSampler(y[:120], 8, 10))
net = nn.Sequential(nn.Linear(13, 32), nn.LayerNorm(32), nn.ReLU(), nn.Linear(32, 4))
opt = torch.optim.AdamW(net.parameters(), lr=2e-3, weight_decay=0.0)
for epoch in range(5):
    s = 0.0
    for xb, yb in loader:
        loss = batch_hard(net(xb), yb)
        opt.zero_grad()
        loss.backward()
        opt.step()
        s += loss.item() / len(loader)
    print(f"epoch {epoch} triplet {s:.4f} 3-NN {knn_accuracy(net, X[:120], y[:120], X[120:], y[120:]):.4f}")
