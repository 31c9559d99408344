"""Denoising diffusion on 2-D points with an EMA copy for sampling; the target is fresh noise on every call."""
import copy
import math

import torch
import torch.nn as nn
import torch.nn.functional as F

STEPS = 40
beta = torch.linspace(1e-3, 0.15, STEPS)
alpha = 1 - beta
abar = alpha.cumprod(0)


class Denoiser(nn.Module):
    def __init__(self, h=64):
        super().__init__()
        self.time = nn.Embedding(STEPS, h)
        self.inp, self.mid, self.out = nn.Linear(2, h), nn.Linear(h, h), nn.Linear(h, 2)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x, t):
        h = F.silu(self.inp(x) + self.time(t))
        return self.out(h + F.silu(self.mid(h)))


def ring(n):
    a = torch.rand(n) * 2 * math.pi
    return torch.stack([a.cos(), a.sin()], 1) + 0.03 * torch.randn(n, 2)


@torch.no_grad()
def sample(model, n):
    x = torch.randn(n, 2)
    for t in reversed(range(STEPS)):
        eps = model(x, torch.full((n,), t))
        x = (x - beta[t] / (1 - abar[t]).sqrt() * eps) / alpha[t].sqrt()
        if t > 0:
            x = x + beta[t].sqrt() * torch.randn_like(x)
    return x


def main():
    torch.manual_seed(74)
    net = Denoiser()
    ema = copy.deepcopy(net).requires_grad_(False)
    opt = torch.optim.Adam(net.parameters(), lr=4e-3)
    log = []
    for step in range(700):
        x0 = ring(128)
        t = torch.randint(0, STEPS, (128,))
        noise = torch.randn_like(x0)
        xt = abar[t].sqrt()[:, None] * x0 + (1 - abar[t]).sqrt()[:, None] * noise
        loss = F.mse_loss(net(xt, t), noise)
        opt.zero_grad()
        loss.backward()
        opt.step()
        with torch.no_grad():
            for e, p in zip(ema.parameters(), net.parameters()):
                e.lerp_(p, 0.03)
        log.append(loss.item())
    r = sample(ema.eval(), 400).norm(dim=1)
    print("loss", [round(sum(log[k:k + 20]) / 20, 4) for k in (0, 300, 680)])
    print(f"radius of samples {r.mean():.3f} +- {r.std():.3f}")


main()
