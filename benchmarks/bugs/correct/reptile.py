"""Reptile: a new inner optimizer on a copy for each task; the meta-weights move by interpolation, without gradients."""
import copy

import torch
import torch.nn as nn

torch.manual_seed(68)
net = nn.Sequential(nn.Linear(1, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 1))
grid = torch.linspace(-2, 2, 40).unsqueeze(1)


def random_task():
    amp, phase = 0.5 + 1.5 * torch.rand(1), 2 * torch.rand(1)
    return lambda x: amp * torch.sin(1.5 * x + phase)


def inner_loop(model, f, steps, lr=0.03):
    opt = torch.optim.SGD(model.parameters(), lr=lr)
    values = []
    for _ in range(steps):
        x = grid[torch.randperm(40)[:12]]
        loss = nn.functional.mse_loss(model(x), f(x))
        opt.zero_grad()
        loss.backward()
        opt.step()
        values.append(loss.item())
    return values


def score(model, tasks):
    total = 0.0
    for f in tasks:
        fast = copy.deepcopy(model)
        inner_loop(fast, f, 8)
        with torch.no_grad():
            total += nn.functional.mse_loss(fast(grid), f(grid)).item()
    return total / len(tasks)


test_tasks = [random_task() for _ in range(10)]
print(f"before {score(net, test_tasks):.4f}")
for iteration in range(60):
    fast = copy.deepcopy(net)
    inner_loop(fast, random_task(), 8)
    rate = 0.5 * (1 - iteration / 60)
    with torch.no_grad():
        for slow, quick in zip(net.parameters(), fast.parameters()):
            slow.add_(quick - slow, alpha=rate)
print(f"after {score(net, test_tasks):.4f}")
