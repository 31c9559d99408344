"""MoCo: query encoder against a momentum key encoder and a queue buffer that is written in place."""
import torch
import torch.nn as nn
import torch.nn.functional as F


class MoCo(nn.Module):
    def __init__(self, make, dim, size=256, m=0.95, t=0.2):
        super().__init__()
        self.m, self.t = m, t
        self.q, self.k = make(), make()
        for pq, pk in zip(self.q.parameters(), self.k.parameters()):
            pk.data.copy_(pq.data)
            pk.requires_grad = False
        self.register_buffer("queue", F.normalize(torch.randn(size, dim), dim=1))
        self.register_buffer("ptr", torch.zeros(1, dtype=torch.long))

    @torch.no_grad()
    def momentum_update(self):
        for pq, pk in zip(self.q.parameters(), self.k.parameters()):
            pk.data = pk.data * self.m + pq.data * (1 - self.m)

    @torch.no_grad()
    def enqueue(self, keys):
        p, n = int(self.ptr), len(keys)
        self.queue[p:p + n] = keys
        self.ptr[0] = (p + n) % len(self.queue)

    def forward(self, a, b):
        q = F.normalize(self.q(a), dim=1)
        with torch.no_grad():
            self.momentum_update()
            k = F.normalize(self.k(b), dim=1)
        positive = (q * k).sum(1, keepdim=True)
        negative = q @ self.queue.clone().detach().T
        logits = torch.cat([positive, negative], 1) / self.t
        loss = F.cross_entropy(logits, torch.zeros(len(q), dtype=torch.long))
        self.enqueue(k)
        return loss


def signals(n):
    f = torch.rand(n, 1) * 5 + 1
    t = torch.linspace(0, 1, 24)
    view = lambda: torch.sin(2 * torch.pi * f * t + 0.3 * torch.randn(n, 1)) + 0.1 * torch.randn(n, 24)
    return view(), view(), f.squeeze(1)


torch.manual_seed(66)
net = MoCo(lambda: nn.Sequential(nn.Linear(24, 64), nn.ReLU(), nn.Linear(64, 8)), 8)
opt = torch.optim.SGD([p for p in net.parameters() if p.requires_grad], lr=0.3, momentum=0.9)
losses = []
for step in range(160):
    a, b, _ = signals(64)
    loss = net(a, b)
    opt.zero_grad()
    loss.backward()
    opt.step()
    losses.append(loss.item())

with torch.no_grad():
    a, b, f = signals(200)
    za, zb = F.normalize(net.q(a), dim=1), F.normalize(net.q(b), dim=1)
    gap = (f[(za @ zb.T).argmax(1)] - f).abs().mean().item()
print("loss", [round(sum(losses[k:k + 10]) / 10, 4) for k in (0, 50, 100, 150)])
print(f"mean frequency error of the nearest neighbour {gap:.3f} (chance about 1.67)")
