"""Heteroscedastic regression with GaussianNLLLoss; all of mean, target and variance are (N, 1) columns."""
import torch
import torch.nn as nn
from torch.utils.data import DataLoader, TensorDataset


class MeanVar(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(1, 48), nn.Tanh(), nn.Linear(48, 48), nn.Tanh())
        self.mean, self.var = nn.Linear(48, 1), nn.Linear(48, 1)

    def forward(self, x):
        h = self.body(x)
        return self.mean(h), nn.functional.softplus(self.var(h)) + 1e-4


def simulate(n):
    x = torch.rand(n, 1) * 4 - 2
    sigma = 0.05 + 0.2 * x.abs()
    return x, x.sin() + sigma * torch.randn(n, 1)


torch.manual_seed(185)
train, (xv, yv) = TensorDataset(*simulate(1200)), simulate(300)
loader = DataLoader(train, batch_size=60, shuffle=True)
net, nll = MeanVar(), nn.GaussianNLLLoss()
opt = torch.optim.Adam(net.parameters(), lr=5e-3)
for epoch in range(8):
    total = 0.0
    for x, y in loader:
        mean, var = net(x)
        loss = nll(mean, y, var)
        opt.zero_grad()
        loss.backward()
        opt.step()
        total += loss.item() / len(loader)
    if epoch in (0, 3, 7):
        with torch.no_grad():
            mean, var = net(xv)
            value = nll(mean, yv, var).item()
        print(f"epoch {epoch} train {total:.4f} valid {value:.4f}")
with torch.no_grad():
    _, var = net(torch.tensor([[0.0], [1.8]]))
print("sigma at 0 and 1.8", [round(v, 3) for v in var.sqrt().flatten().tolist()])
