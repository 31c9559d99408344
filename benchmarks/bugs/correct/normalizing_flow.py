"""RealNVP on two moons: log-likelihood with sum reductions over dimensions, zero-initialised coupling outputs."""
import math

import torch
import torch.nn as nn
from sklearn.datasets import make_moons


class Coupling(nn.Module):
    def __init__(self, flip, h=32):
        super().__init__()
        self.flip = flip
        self.net = nn.Sequential(nn.Linear(1, h), nn.Tanh(), nn.Linear(h, h), nn.Tanh(), nn.Linear(h, 2))
        nn.init.zeros_(self.net[-1].weight)
        nn.init.zeros_(self.net[-1].bias)

    def forward(self, x):
        a, b = x.chunk(2, dim=1)
        if self.flip:
            a, b = b, a
        s, t = self.net(a).chunk(2, dim=1)
        s = torch.tanh(s)
        b = b * s.exp() + t
        out = torch.cat([b, a] if self.flip else [a, b], dim=1)
        return out, s.sum(1)


class Flow(nn.Module):
    def __init__(self, layers=6):
        super().__init__()
        self.layers = nn.ModuleList(Coupling(i % 2 == 1) for i in range(layers))

    def log_prob(self, x):
        log_det = torch.zeros(len(x))
        for layer in self.layers:
            x, ld = layer(x)
            log_det = log_det + ld
        base = (-0.5 * x.pow(2) - 0.5 * math.log(2 * math.pi)).sum(1)
        return base + log_det


def main():
    torch.manual_seed(117)
    X, _ = make_moons(1500, noise=0.08, random_state=117)
    X = torch.tensor(X, dtype=torch.float32)
    X = (X - X[:1200].mean(0)) / X[:1200].std(0)
    train, test = X[:1200], X[1200:]
    flow = Flow()
    opt = torch.optim.Adam(flow.parameters(), lr=5e-3)
    for epoch in range(8):
        total = 0.0
        for idx in torch.randperm(1200).split(100):
            loss = -flow.log_prob(train[idx]).sum()
            opt.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(flow.parameters(), 100.0)
            opt.step()
            total += loss.item() / 1200
        if epoch % 2 == 1:
            with torch.no_grad():
                print(f"epoch {epoch} train nll {total:.4f} test nll {-flow.log_prob(test).mean().item():.4f}")


main()
