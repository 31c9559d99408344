"""A hypernetwork writes the weights of a small regressor, which itself owns no trainable parameter."""
import torch
import torch.nn as nn
import torch.nn.functional as F


class HyperNet(nn.Module):
    """From the two coefficients of a function to the weights of a 1-16-1 network."""

    SHAPES = ((16, 1), (16,), (1, 16), (1,))

    def __init__(self):
        super().__init__()
        self.sizes = [torch.Size(s).numel() for s in self.SHAPES]
        self.body = nn.Sequential(nn.Linear(2, 48), nn.ReLU(), nn.Linear(48, sum(self.sizes)))

    def forward(self, task):
        flat = self.body(task)
        return [w.view(s) for w, s in zip(flat.split(self.sizes), self.SHAPES)]


class Main(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.LayerNorm(16, elementwise_affine=False)

    def forward(self, x, weights):
        w1, b1, w2, b2 = weights
        return F.linear(self.norm(torch.tanh(F.linear(x, w1, b1))), w2, b2)


def curve(task, x):
    return task[0] * x + task[1] * x.abs()


torch.manual_seed(69)
hyper, net = HyperNet(), Main()
opt = torch.optim.Adam(hyper.parameters(), lr=3e-3)
losses = []
for step in range(120):
    opt.zero_grad()
    total = 0.0
    for _ in range(6):
        task = torch.rand(2) * 2 - 1
        x = torch.rand(24, 1) * 2 - 1
        total = total + F.mse_loss(net(x, hyper(task)), curve(task, x))
    loss = total / 6
    loss.backward()
    opt.step()
    losses.append(loss.item())

test = torch.tensor([[0.5, 0.5], [-0.7, 0.2], [0.1, -0.9]])
x = torch.linspace(-1, 1, 50).unsqueeze(1)
with torch.no_grad():
    err = [F.mse_loss(net(x, hyper(t)), curve(t, x)).item() for t in test]
print("train", [round(losses[k], 4) for k in (0, 40, 80, 119)])
print("unseen functions", [round(e, 4) for e in err], "parameters of the main net:", sum(1 for _ in net.parameters()))
