"""Gradient surgery: per-task gradients by autograd.grad are projected and written to p.grad by hand before the step."""
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(93)
trunk = nn.Sequential(nn.Linear(5, 32), nn.Tanh())
head_a, head_b = nn.Linear(32, 1), nn.Linear(32, 1)
shared = list(trunk.parameters())
everything = [*shared, *head_a.parameters(), *head_b.parameters()]
opt = torch.optim.Adam(everything, lr=5e-3)


def flat(grads):
    return torch.cat([g.flatten() for g in grads])


def project(g, other):
    dot = torch.dot(g, other)
    return g - dot / other.norm().pow(2).clamp_min(1e-12) * other if dot < 0 else g


def unflatten(vector, like):
    parts = vector.split([p.numel() for p in like])
    return [v.view_as(p) for v, p in zip(parts, like)]


log, conflicts = [], 0
for step in range(120):
    x = torch.randn(64, 5)
    h = trunk(x)
    loss_a = F.mse_loss(head_a(h).squeeze(1), x[:, 0] * x[:, 1])
    loss_b = F.mse_loss(head_b(h).squeeze(1), torch.relu(x[:, 2]) - x[:, 0])
    g_a = torch.autograd.grad(loss_a, [*shared, *head_a.parameters()], retain_graph=True)
    g_b = torch.autograd.grad(loss_b, [*shared, *head_b.parameters()])
    n = len(shared)
    fa, fb = flat(g_a[:n]), flat(g_b[:n])
    conflicts += int(torch.dot(fa, fb) < 0)
    merged = project(fa, fb) + project(fb, fa)
    for p, g in zip(shared, unflatten(merged, shared)):
        p.grad = g
    for p, g in zip(head_a.parameters(), g_a[n:]):
        p.grad = g
    for p, g in zip(head_b.parameters(), g_b[n:]):
        p.grad = g
    opt.step()
    log.append((loss_a.item(), loss_b.item()))

print("task a", [round(log[k][0], 4) for k in (0, 60, 119)])
print("task b", [round(log[k][1], 4) for k in (0, 60, 119)])
print("updates with a conflict:", conflicts > 0)
