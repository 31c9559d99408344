"""Binarised hidden layer by a custom autograd function with a straight-through gradient; latent weights are clamped."""
import torch
import torch.nn as nn
from sklearn.datasets import load_digits


class Sign(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return torch.where(x >= 0, 1.0, -1.0)

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        return grad * (x.abs() <= 1)


class BinaryLinear(nn.Linear):
    def forward(self, x):
        return nn.functional.linear(x, Sign.apply(self.weight), self.bias) / self.in_features ** 0.5


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1, self.norm1 = nn.Linear(64, 128), nn.BatchNorm1d(128)
        self.fc2, self.norm2 = BinaryLinear(128, 64), nn.BatchNorm1d(64)
        self.out = nn.Linear(64, 10)

    def forward(self, x):
        x = Sign.apply(self.norm1(self.fc1(x)))
        x = Sign.apply(self.norm2(self.fc2(x)))
        return self.out(x)


torch.manual_seed(142)
X, Y = load_digits(return_X_y=True)
perm = torch.randperm(len(Y))
X, Y = torch.tensor(X / 16 - 0.3, dtype=torch.float32)[perm], torch.tensor(Y)[perm]
net = Net()
opt = torch.optim.Adam(net.parameters(), lr=3e-3)
for epoch in range(4):
    net.train()
    total = 0.0
    for idx in torch.randperm(1400).split(70):
        loss = nn.functional.cross_entropy(net(X[idx]), Y[idx])
        opt.zero_grad()
        loss.backward()
        opt.step()
        with torch.no_grad():
            net.fc2.weight.clamp_(-1, 1)
        total += loss.item() / 20
    net.eval()
    with torch.no_grad():
        acc = (net(X[1400:]).argmax(1) == Y[1400:]).float().mean().item()
    print(f"epoch {epoch} loss {total:.4f} acc {acc:.4f}")
