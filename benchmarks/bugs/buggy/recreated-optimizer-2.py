"""Physics-informed fit of a damped oscillator with an agent-like Solver class."""
import torch
from torch import nn

torch.manual_seed(0)


def exact(t, d=1.5, w0=8.0):
    w = (w0 ** 2 - d ** 2) ** 0.5
    return torch.exp(-d * t) * torch.cos(w * t)


class Solver:
    def __init__(self, lr=3e-3, noise=0.02):
        self.net = nn.Sequential(nn.Linear(1, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 1))
        self.lr = lr
        t = torch.rand(80, 1)
        self.t_train, self.u_train = t, exact(t) + noise * torch.randn(80, 1)
        self.t_val = torch.rand(200, 1)
        self.u_val = exact(self.t_val)

    def residual(self, t, mu=3.0, k=64.0):
        t = t.requires_grad_(True)
        u = self.net(t)
        du = torch.autograd.grad(u.sum(), t, create_graph=True)[0]
        ddu = torch.autograd.grad(du.sum(), t, create_graph=True)[0]
        return ddu + mu * du + k * u

    def update(self):
        optimizer = torch.optim.Adam(self.net.parameters(), lr=self.lr, betas=(0.9, 0.99))  # BUG: recreated-optimizer
        idx = torch.randperm(80)[:40]
        data_loss = ((self.net(self.t_train[idx]) - self.u_train[idx]) ** 2).mean()
        physics_loss = (self.residual(torch.rand(40, 1)) ** 2).mean()
        loss = data_loss + 1e-4 * physics_loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return data_loss.item(), physics_loss.item()

    def validate(self):
        with torch.no_grad():
            return ((self.net(self.t_val) - self.u_val) ** 2).mean().item()

    def solve(self, iterations):
        for it in range(1, iterations + 1):
            data, physics = self.update()
            if it % 30 == 0:
                print(f"iter {it:4d} data {data:.5f} physics {physics:.3f} val {self.validate():.5f}")


Solver().solve(180)
