"""bfloat16 working copy with fp32 master weights: gradients are copied up, the master steps, weights are copied down."""
import copy

import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(98)
master = nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 1))
work = copy.deepcopy(master).to(torch.bfloat16)
opt = torch.optim.Adam(master.parameters(), lr=5e-4)


def f(x):
    return (x[:, :1] - x[:, 1:2]).abs() + 0.5 * x[:, 2:3]


xv = torch.randn(256, 8)
yv = f(xv)


def validate():
    with torch.no_grad():
        return F.mse_loss(work(xv.bfloat16()).float(), yv).item()


report = [validate()]
for step in range(1, 241):
    x = torch.randn(64, 8)
    loss = F.mse_loss(work(x.bfloat16()).float(), f(x))
    loss.backward()
    for m, w in zip(master.parameters(), work.parameters()):
        m.grad = w.grad.float()
        w.grad = None
    opt.step()
    opt.zero_grad()
    with torch.no_grad():
        for m, w in zip(master.parameters(), work.parameters()):
            w.copy_(m)
    if step % 60 == 0:
        report.append(validate())
print("valid mse", [round(v, 3) for v in report])
