"""Checks a custom autograd function with gradcheck in double precision, then trains a small model that uses it."""
import torch
import torch.nn as nn


class SoftThreshold(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, t):
        ctx.save_for_backward(x, t)
        return x.sign() * (x.abs() - t).clamp(min=0)

    @staticmethod
    def backward(ctx, grad):
        x, t = ctx.saved_tensors
        alive = (x.abs() > t).to(grad.dtype)
        return grad * alive, -(grad * alive * x.sign()).sum().reshape(t.shape)


class LISTA(nn.Module):
    """Three unrolled steps of iterative shrinkage."""

    def __init__(self, d, codes):
        super().__init__()
        self.w, self.s = nn.Linear(d, codes, bias=False), nn.Linear(codes, codes, bias=False)
        self.t = nn.Parameter(torch.tensor(0.05))

    def forward(self, y):
        b = self.w(y)
        z = SoftThreshold.apply(b, self.t)
        for _ in range(2):
            z = SoftThreshold.apply(b + self.s(z), self.t)
        return z


torch.manual_seed(184)
probe = (torch.randn(5, 3, dtype=torch.float64) * 2).requires_grad_()
level = torch.tensor(0.4, dtype=torch.float64, requires_grad=True)
assert torch.autograd.gradcheck(SoftThreshold.apply, (probe, level))

dictionary = nn.functional.normalize(torch.randn(20, 12), dim=1)


def sparse(n):
    z = torch.randn(n, 20) * (torch.rand(n, 20) < 0.12)
    return z @ dictionary + 0.01 * torch.randn(n, 12), z


net = LISTA(12, 20)
with torch.no_grad():
    net.w.weight.copy_(0.5 * dictionary)
    net.s.weight.copy_(torch.eye(20) - 0.5 * dictionary @ dictionary.T)
opt = torch.optim.Adam(net.parameters(), lr=3e-3)
y_val, z_val = sparse(400)
log = []
for step in range(200):
    y, z = sparse(64)
    loss = (net(y) - z).pow(2).sum(1).mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
    log.append(loss.item())
with torch.no_grad():
    v = (net(y_val) - z_val).pow(2).sum(1).mean().item()
print("gradcheck passed; loss", [round(sum(log[k:k + 20]) / 20, 4) for k in (0, 80, 180)], "valid", round(v, 4), "threshold", round(net.t.item(), 3))
