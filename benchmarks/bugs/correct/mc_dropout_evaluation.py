"""Monte Carlo dropout: the test pass leaves only the dropout layers in train mode and averages 20 stochastic passes."""
import torch
import torch.nn as nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(86)


def noisy_sine(n, low, high):
    x = torch.rand(n, 1) * (high - low) + low
    return x, torch.sin(2 * x) + 0.05 * torch.randn(n, 1)


train_x, train_y = noisy_sine(400, -1.5, 1.5)
test_x, test_y = noisy_sine(100, -1.5, 1.5)
loader = DataLoader(TensorDataset(train_x, train_y), batch_size=50, shuffle=True)
net = nn.Sequential(
    nn.Linear(1, 64), nn.BatchNorm1d(64), nn.Tanh(), nn.Dropout(0.1),
    nn.Linear(64, 64), nn.Tanh(), nn.Dropout(0.1), nn.Linear(64, 1))
opt = torch.optim.Adam(net.parameters(), lr=5e-3)


def enable_dropout(model):
    for m in model.modules():
        if isinstance(m, nn.Dropout):
            m.train()


@torch.no_grad()
def predict(model, x, passes=20):
    model.eval()
    enable_dropout(model)
    draws = torch.stack([model(x) for _ in range(passes)])
    return draws.mean(0), draws.std(0)


for epoch in range(15):
    net.train()
    total = 0.0
    for x, y in loader:
        loss = nn.functional.mse_loss(net(x), y)
        opt.zero_grad()
        loss.backward()
        opt.step()
        total += loss.item() / len(loader)
    if epoch % 7 == 0:
        mean, std = predict(net, test_x)
        print(f"epoch {epoch} train {total:.4f} test {(mean - test_y).pow(2).mean():.4f} spread {std.mean():.4f}")

_, inside = predict(net, torch.zeros(50, 1))
_, outside = predict(net, torch.full((50, 1), 6.0))
print("more doubt outside the data:", bool(outside.mean() > inside.mean()))
