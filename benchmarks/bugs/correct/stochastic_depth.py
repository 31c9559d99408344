"""Stochastic depth: whole blocks are skipped at random in training, so their parameters miss some gradients."""
import torch
import torch.nn as nn
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader, TensorDataset


class DropBlock(nn.Module):
    def __init__(self, d, survive):
        super().__init__()
        self.survive = survive
        self.f = nn.Sequential(nn.LayerNorm(d), nn.Linear(d, d), nn.GELU(), nn.Linear(d, d))

    def forward(self, x):
        if self.training:
            return x + self.f(x) / self.survive if torch.rand(()) < self.survive else x
        return x + self.f(x)


class Net(nn.Module):
    def __init__(self, depth=6, d=32):
        super().__init__()
        self.inp = nn.Linear(64, d)
        self.blocks = nn.Sequential(*[DropBlock(d, 1.0 - 0.5 * k / depth) for k in range(1, depth + 1)])
        self.out = nn.Linear(d, 10)

    def forward(self, x):
        return self.out(self.blocks(self.inp(x)))


torch.manual_seed(144)
X, Y = load_digits(return_X_y=True)
perm = torch.randperm(len(Y))
X, Y = torch.tensor(X / 16 - 0.3, dtype=torch.float32)[perm], torch.tensor(Y)[perm]
loader = DataLoader(TensorDataset(X[:1400], Y[:1400]), batch_size=70, shuffle=True)
net = Net()
opt = torch.optim.AdamW(net.parameters(), lr=4e-3, weight_decay=0.0)
skipped = 0
for epoch in range(3):
    net.train()
    total = 0.0
    for x, y in loader:
        opt.zero_grad()
        loss = nn.functional.cross_entropy(net(x), y)
        loss.backward()
        skipped += sum(b.f[1].weight.grad is None for b in net.blocks)
        opt.step()
        total += loss.item() / len(loader)
    net.eval()
    with torch.no_grad():
        acc = (net(X[1400:]).argmax(1) == Y[1400:]).float().mean().item()
    print(f"epoch {epoch} loss {total:.4f} acc {acc:.4f}")
print("blocks skipped", skipped)
