"""Link prediction in a social graph: two-layer graph network and a pairwise decoder."""
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(0)
N, COMMUNITIES = 120, 4


def social_graph(g):
    group = torch.randint(0, COMMUNITIES, (N,), generator=g)
    p = torch.where(group[:, None] == group[None], 0.25, 0.02)
    adj = torch.triu(torch.rand(N, N, generator=g) < p, 1)
    edges = adj.nonzero()
    return edges[torch.randperm(len(edges), generator=g)], group


def normalised(edges):
    a = torch.eye(N)
    a[edges[:, 0], edges[:, 1]] = 1
    a[edges[:, 1], edges[:, 0]] = 1
    d = a.sum(1).rsqrt()
    return d[:, None] * a * d[None]


class LinkPredictor(nn.Module):
    def __init__(self, d=24):
        super().__init__()
        self.x = nn.Parameter(torch.randn(N, d) * 0.3)
        self.w1, self.w2 = nn.Linear(d, d), nn.Linear(d, d)
        self.decoder = nn.Sequential(nn.Linear(d, 24), nn.ReLU(), nn.Linear(24, 1), nn.ReLU())  # ALSO: rectified-logits

    def forward(self, adj, pairs):
        h = F.relu(adj @ self.w1(self.x))
        h = adj @ self.w2(h)
        return self.decoder(h[pairs[:, 0]] * h[pairs[:, 1]]).squeeze(1)


def sample_pairs(edges, n, known):
    pos = edges[torch.randint(0, len(edges), (n,))]
    neg = torch.randint(0, N, (3 * n, 2))
    neg = neg[~known[neg[:, 0], neg[:, 1]]][:n]
    return torch.cat([pos, neg]), torch.cat([torch.ones(len(pos)), torch.zeros(len(neg))])


edges, _ = social_graph(torch.Generator().manual_seed(0))
n_val = len(edges) // 5
train_edges, val_edges = edges[n_val:], edges[:n_val]
known = torch.eye(N, dtype=torch.bool)
known[edges[:, 0], edges[:, 1]] = known[edges[:, 1], edges[:, 0]] = True
adj = normalised(train_edges)
val_pairs, val_y = sample_pairs(val_edges, 200, known)

model = LinkPredictor()
optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
for step in range(1, 151):
    model.train()
    pairs, y = sample_pairs(train_edges, 128, known)
    loss = F.binary_cross_entropy_with_logits(model(adj, pairs), y)  # BUG: rectified-logits
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 30 == 0:
        model.eval()
        with torch.no_grad():
            out = model(adj, val_pairs)
            rank = (out[val_y == 1][:, None] > out[val_y == 0][None]).float().mean().item()
        print(f"step {step}: loss {loss.item():.4f} val auc {rank:.3f}")
