"""Logs the total gradient norm with clip_grad_norm_(max_norm=inf), also once more after the step for a report."""
import math

import torch
import torch.nn as nn


class GradientLog:
    def __init__(self, model):
        self.model = model
        self.before, self.after = [], []

    def measure(self):
        return torch.nn.utils.clip_grad_norm_(self.model.parameters(), max_norm=float("inf")).item()


def target(x):
    return torch.cos(3 * x[:, :1]) * x[:, 1:2]


torch.manual_seed(28)
model = nn.Sequential(nn.Linear(2, 40), nn.Tanh(), nn.Linear(40, 1))
opt = torch.optim.Adam(model.parameters(), lr=1e-2)
log = GradientLog(model)
losses = []
for step in range(120):
    x = torch.rand(64, 2) * 2 - 1
    loss = nn.functional.mse_loss(model(x), target(x))
    opt.zero_grad()
    loss.backward()
    log.before.append(log.measure())
    opt.step()
    if step % 20 == 0:
        # reporting only; an infinite bound leaves every gradient as it is
        log.after.append(log.measure())
    losses.append(loss.item())

assert all(math.isclose(a, log.before[20 * k], rel_tol=1e-6) for k, a in enumerate(log.after))
print("loss", [round(losses[k], 4) for k in (0, 60, 119)])
print("grad norm", [round(v, 4) for v in log.after])
