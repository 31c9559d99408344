"""Two parameter groups of which the encoder's is frozen on purpose while the head is fitted to a new task."""
import torch
import torch.nn as nn
import torch.nn.functional as F


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(6, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh())
        self.head = nn.Linear(32, 1)

    def forward(self, x):
        return self.head(self.encoder(x)).squeeze(-1)


def loop(net, opt, fn, steps):
    out = []
    for _ in range(steps):
        x = torch.randn(64, 6)
        loss = F.mse_loss(net(x), fn(x))
        opt.zero_grad()
        loss.backward()
        opt.step()
        out.append(loss.item())
    return out


torch.manual_seed(29)
net = Net()
opt = torch.optim.Adam([
    {"params": net.encoder.parameters(), "lr": 3e-3},
    {"params": net.head.parameters(), "lr": 1e-2},
])
source = loop(net, opt, lambda x: torch.sin(x[:, 0]) + x[:, 1], 80)

for p in net.encoder.parameters():
    p.requires_grad = False
net.head.reset_parameters()
frozen = [p.clone() for p in net.encoder.parameters()]
transfer = loop(net, opt, lambda x: 2 * torch.sin(x[:, 0]) - x[:, 1], 60)

print(f"source {source[0]:.4f} -> {source[-1]:.4f}")
print(f"transfer {transfer[0]:.4f} -> {transfer[-1]:.4f}")
print("encoder untouched:", all(torch.equal(a, b) for a, b in zip(frozen, net.encoder.parameters())))
