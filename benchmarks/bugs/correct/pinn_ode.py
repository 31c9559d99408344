"""Physics-informed network for a damped oscillator: derivatives by autograd.grad, full set of collocation points."""
import torch
import torch.nn as nn

torch.manual_seed(72)
net = nn.Sequential(nn.Linear(1, 24), nn.Tanh(), nn.Linear(24, 24), nn.Tanh(), nn.Linear(24, 1))
optimizer = torch.optim.Adam(net.parameters(), lr=2e-2)
scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=450)
t_col = torch.linspace(0, 2, 40).unsqueeze(1).requires_grad_(True)
t0 = torch.zeros(1, 1, requires_grad=True)
damping, omega2 = 0.5, 4.0


def solution(t):
    w = (omega2 - damping ** 2 / 4) ** 0.5
    return torch.exp(-damping * t / 2) * (torch.cos(w * t) + damping / (2 * w) * torch.sin(w * t))


def grad(out, inp):
    return torch.autograd.grad(out, inp, torch.ones_like(out), create_graph=True)[0]


trace = []
for it in range(450):
    u = net(t_col)
    du = grad(u, t_col)
    ddu = grad(du, t_col)
    physics = (ddu + damping * du + omega2 * u).pow(2).mean()
    u0 = net(t0)
    start = (u0 - 1.0).pow(2).sum() + grad(u0, t0).pow(2).sum()
    loss = physics + 20.0 * start
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    scheduler.step()
    trace.append(loss.item())

with torch.no_grad():
    t = torch.linspace(0, 2, 101).unsqueeze(1)
    error = (net(t) - solution(t)).abs().max().item()
print("loss", [round(trace[k], 4) for k in (0, 150, 300, 449)], "max error", round(error, 4))
