"""Residual net whose branches and classifier start at zero (constant output at first), with a learned branch gain."""
import torch
import torch.nn as nn
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader, TensorDataset


class Branch(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.norm, self.a, self.b = nn.LayerNorm(d), nn.Linear(d, d), nn.Linear(d, d)
        self.gain = nn.Parameter(torch.zeros(1))

    def forward(self, x):
        return x + self.gain * self.b(torch.relu(self.a(self.norm(x))))


class Net(nn.Module):
    def __init__(self, d=48, depth=4):
        super().__init__()
        self.inp = nn.Linear(64, d)
        self.body = nn.Sequential(*[Branch(d) for _ in range(depth)])
        self.head = nn.Linear(d, 10)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, x):
        return self.head(self.body(self.inp(x)))


def main():
    torch.manual_seed(126)
    X, Y = load_digits(return_X_y=True)
    perm = torch.randperm(len(Y))
    X, Y = torch.tensor(X / 16 - 0.3, dtype=torch.float32)[perm], torch.tensor(Y)[perm]
    loader = DataLoader(TensorDataset(X[:1400], Y[:1400]), batch_size=70, shuffle=True)
    net = Net()
    opt = torch.optim.Adam(net.parameters(), lr=5e-3)
    first = None
    for epoch in range(4):
        total = 0.0
        for x, y in loader:
            opt.zero_grad()
            loss = nn.functional.cross_entropy(net(x), y)
            loss.backward()
            opt.step()
            first = first if first is not None else loss.item()
            total += loss.item() / len(loader)
        with torch.no_grad():
            acc = (net(X[1400:]).argmax(1) == Y[1400:]).float().mean().item()
        print(f"epoch {epoch} loss {total:.4f} acc {acc:.4f}")
    print(f"first loss {first:.4f} (log 10 = 2.3026), gains", [round(b.gain.item(), 3) for b in net.body])


main()
