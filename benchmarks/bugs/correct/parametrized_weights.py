"""Weight norm, spectral norm and an orthogonal parametrization: the weights that forward uses are computed, not stored."""
import torch
import torch.nn as nn
from torch.nn.utils.parametrizations import orthogonal, spectral_norm, weight_norm
from torch.nn.utils import parametrize


class Symmetric(nn.Module):
    def forward(self, w):
        return w.triu() + w.triu(1).transpose(-1, -2)


class Net(nn.Module):
    def __init__(self, d=24):
        super().__init__()
        self.a = weight_norm(nn.Linear(6, d))
        self.b = orthogonal(nn.Linear(d, d))
        self.c = spectral_norm(nn.Linear(d, d))
        self.d = nn.Linear(d, d)
        parametrize.register_parametrization(self.d, "weight", Symmetric())
        self.out = nn.Linear(d, 1)

    def forward(self, x):
        h = torch.tanh(self.a(x))
        h = torch.tanh(self.b(h))
        h = h + torch.tanh(self.c(h))
        return self.out(h + torch.tanh(self.d(h))).squeeze(-1)


def f(x):
    return torch.sin(x[:, 0]) + x[:, 1] * x[:, 2]


torch.manual_seed(197)
net = Net()
opt = torch.optim.Adam(net.parameters(), lr=5e-3)
xv = torch.randn(300, 6)
trace = []
for step in range(150):
    net.train()
    x = torch.randn(64, 6)
    with parametrize.cached():
        loss = nn.functional.mse_loss(net(x), f(x))
    opt.zero_grad()
    loss.backward()
    opt.step()
    trace.append(loss.item())
net.eval()
with torch.no_grad():
    v = nn.functional.mse_loss(net(xv), f(xv)).item()
    off = (net.b.weight @ net.b.weight.T - torch.eye(24)).abs().max().item()
print("loss", [round(trace[k], 4) for k in (0, 50, 100, 149)], "valid", round(v, 4))
print("orthogonal:", off < 1e-4, "symmetric:", torch.equal(net.d.weight, net.d.weight.T))
