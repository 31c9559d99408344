"""Multiple-instance learning: attention runs over the instances of one bag (dimension 0), one bag per forward."""
import torch
import torch.nn as nn
from sklearn.datasets import load_digits

torch.manual_seed(136)
X, Y = load_digits(return_X_y=True)
X, Y = torch.tensor(X / 16 - 0.3, dtype=torch.float32), torch.tensor(Y)
key = (Y == 0).nonzero().squeeze(1)
other = (Y != 0).nonzero().squeeze(1)


def bags(n, keys, others, g):
    """A bag is positive when it holds at least one zero."""
    out = []
    for _ in range(n):
        size = int(torch.randint(4, 10, (1,), generator=g))
        idx = others[torch.randint(0, len(others), (size,), generator=g)]
        label = int(torch.rand(1, generator=g) < 0.5)
        if label:
            idx = torch.cat([idx[1:], keys[torch.randint(0, len(keys), (1,), generator=g)]])
            idx = idx[torch.randperm(size, generator=g)]
        out.append((X[idx], float(label)))
    return out


class AttentionMIL(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Sequential(nn.Linear(64, 32), nn.ReLU())
        self.attend = nn.Sequential(nn.Linear(32, 16), nn.Tanh(), nn.Linear(16, 1))
        self.out = nn.Linear(32, 1)

    def forward(self, bag):
        h = self.embed(bag)
        w = torch.softmax(self.attend(h), dim=0)
        return self.out((w * h).sum(0)).squeeze()


g = torch.Generator().manual_seed(136)
train = bags(200, key[:120], other[:1100], g)
test = bags(80, key[120:], other[1100:], g)
net = AttentionMIL()
opt = torch.optim.Adam(net.parameters(), lr=3e-3)
for epoch in range(4):
    total = 0.0
    for k in torch.randperm(len(train), generator=g).tolist():
        x, label = train[k]
        loss = nn.functional.binary_cross_entropy_with_logits(net(x), torch.tensor(label))
        opt.zero_grad()
        loss.backward()
        opt.step()
        total += loss.item() / len(train)
    with torch.no_grad():
        acc = sum((net(x) > 0).item() == (label > 0.5) for x, label in test) / len(test)
    print(f"epoch {epoch} loss {total:.4f} bag accuracy {acc:.4f}")
