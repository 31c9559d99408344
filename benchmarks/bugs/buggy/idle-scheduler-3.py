"""Autoregressive flow on two-dimensional data with a warm-restart learning-rate plan."""
import argparse
import math

import torch
from sklearn.datasets import make_moons
from torch import nn


class Coupling(nn.Module):
    def __init__(self, flip, width=32):
        super().__init__()
        self.flip = flip
        self.net = nn.Sequential(nn.Linear(1, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh(), nn.Linear(width, 2))

    def forward(self, x):
        a, b = x[:, :1], x[:, 1:]
        if self.flip:
            a, b = b, a
        s, t = self.net(a).chunk(2, dim=1)
        s = torch.tanh(s)
        b = b * s.exp() + t
        return (torch.cat([b, a], 1) if self.flip else torch.cat([a, b], 1)), s.sum(1)


class Flow(nn.Module):
    def __init__(self, layers=4):
        super().__init__()
        self.layers = nn.ModuleList([Coupling(i % 2 == 1) for i in range(layers)])

    def log_prob(self, x):
        logdet = 0
        for layer in self.layers:
            x, ld = layer(x)
            logdet = logdet + ld
        return -0.5 * (x ** 2).sum(1) - math.log(2 * math.pi) + logdet


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--iterations", type=int, default=160)
    ap.add_argument("--batch", type=int, default=128)
    ap.add_argument("--lr", type=float, default=5e-3)
    ap.add_argument("--eval-every", type=int, default=40)
    args = ap.parse_args()
    torch.manual_seed(0)
    X, _ = make_moons(3000, noise=0.06, random_state=0)
    X = torch.tensor((X - X[:2500].mean(0)) / X[:2500].std(0), dtype=torch.float32)
    train, val = X[:2500], X[2500:]
    flow = Flow()
    optimizer = torch.optim.Adam(flow.parameters(), lr=args.lr)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, T_0=80, eta_min=1e-4)  # BUG: idle-scheduler
    for it in range(1, args.iterations + 1):
        flow.train()
        batch = train[torch.randint(0, len(train), (args.batch,))]
        loss = -flow.log_prob(batch).mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(flow.parameters(), 5.0)
        optimizer.step()
        scheduler.step  # ALSO: idle-scheduler
        if it % args.eval_every == 0:
            flow.eval()
            with torch.no_grad():
                nll = -flow.log_prob(val).mean().item()
            print(f"iter {it}: train nll {loss.item():.4f} val nll {nll:.4f}")


if __name__ == "__main__":
    main()
