"""Two-hidden-layer tanh network on digits, weights drawn by hand."""
import torch
from sklearn.datasets import load_digits
from torch import nn

g = torch.Generator().manual_seed(1)
torch.manual_seed(1)

digits = load_digits()
x = torch.tensor(digits.data, dtype=torch.float32) / 8 - 1
y = torch.tensor(digits.target)
perm = torch.randperm(len(x), generator=g)
Xtr, Ytr, Xdev, Ydev = x[perm[:1400]], y[perm[:1400]], x[perm[1400:]], y[perm[1400:]]


class MLP(nn.Module):
    def __init__(self, n_in=64, n_hidden=64, n_out=10):
        super().__init__()
        self.l1 = nn.Linear(n_in, n_hidden)
        self.l2 = nn.Linear(n_hidden, n_hidden)
        self.l3 = nn.Linear(n_hidden, n_out)
        with torch.no_grad():
            self.l1.weight.copy_(torch.randn(n_hidden, n_in, generator=g))  # BUG: saturated-units
            self.l2.weight.copy_(torch.randn(n_hidden, n_hidden, generator=g))  # ALSO: saturated-units
            self.l3.weight.mul_(0.1)
            for layer in (self.l1, self.l2, self.l3):
                layer.bias.zero_()

    def forward(self, x):
        h = torch.tanh(self.l1(x))  # ALSO: saturated-units
        h = torch.tanh(self.l2(h))  # ALSO: saturated-units
        return self.l3(h)


model = MLP()
optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
lossi = []
for i in range(180):
    model.train()
    ix = torch.randint(0, len(Xtr), (48,), generator=g)
    loss = nn.functional.cross_entropy(model(Xtr[ix]), Ytr[ix])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    lossi.append(loss.item())
    if (i + 1) % 30 == 0:
        model.eval()
        with torch.no_grad():
            acc = (model(Xdev).argmax(1) == Ydev).float().mean().item()
        print(f"{i + 1:4d}/180: {sum(lossi[-30:]) / 30:.4f} dev acc {acc:.3f}")
