"""RankNet-like loss on all pairs of a query, and a stress-type embedding loss, both by deliberate (N,1) against (1,N)."""
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(123)


class Scorer(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.score = nn.Sequential(nn.Linear(d, 24), nn.ReLU(), nn.Linear(24, 1))
        self.place = nn.Linear(d, 2)

    def forward(self, x):
        return self.score(x), self.place(x)


def query(n=20):
    x = torch.randn(n, 5)
    return x, (x[:, 0] + 0.5 * x[:, 1].abs()).unsqueeze(1)


def pair_loss(s, rel):
    diff = s - s.T                               # (N, N)
    better = (rel > rel.T).float()
    return (F.softplus(-diff) * better).sum() / better.sum()


def stress(z, x):
    d_low = ((z[:, None] - z[None]) ** 2).sum(-1).add(1e-6).sqrt()
    d_high = torch.cdist(x[:, :2], x[:, :2])
    return (d_low - d_high).pow(2).mean()


net = Scorer(5)
opt = torch.optim.Adam(net.parameters(), lr=5e-3)
tx, trel = query(60)
log = []
for step in range(150):
    x, rel = query()
    s, z = net(x)
    a, b = pair_loss(s, rel), stress(z, x)
    opt.zero_grad()
    (a + 0.1 * b).backward()
    opt.step()
    log.append((a.item(), b.item()))
with torch.no_grad():
    s, _ = net(tx)
    agree = ((s > s.T) == (trel > trel.T)).float().mean().item()
print("ranking", [round(log[k][0], 4) for k in (0, 75, 149)], "stress", [round(log[k][1], 4) for k in (0, 75, 149)])
print("pair agreement", round(agree, 4))
