"""Fine-tunes all weights but keeps batch norm in eval mode by overriding train(), as detection code does."""
import torch
import torch.nn as nn
import torch.nn.functional as F


class ResBlock(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv1d(c, c, 3, padding=1, bias=False), nn.BatchNorm1d(c)
        self.conv2, self.bn2 = nn.Conv1d(c, c, 3, padding=1, bias=False), nn.BatchNorm1d(c)

    def forward(self, x):
        h = F.relu(self.bn1(self.conv1(x)))
        return F.relu(x + self.bn2(self.conv2(h)))


class Net(nn.Module):
    def __init__(self, freeze_bn=False):
        super().__init__()
        self.freeze_bn = freeze_bn
        self.stem, self.block, self.fc = nn.Conv1d(1, 12, 5, padding=2), ResBlock(12), nn.Linear(12, 3)

    def train(self, mode=True):
        super().train(mode)
        if self.freeze_bn:
            for m in self.modules():
                if isinstance(m, nn.BatchNorm1d):
                    m.eval()
                    m.weight.requires_grad_(False)
                    m.bias.requires_grad_(False)
        return self

    def forward(self, x):
        return self.fc(self.block(self.stem(x)).mean(-1))


def waves(n, noise, g):
    t = torch.linspace(0, 1, 32)
    label = torch.randint(0, 3, (n,), generator=g)
    freq = torch.tensor([2.0, 4.0, 7.0])[label].unsqueeze(1)
    phase = torch.rand(n, 1, generator=g) * 6.28
    return (torch.sin(6.28 * freq * t + phase) + noise * torch.randn(n, 32, generator=g)).unsqueeze(1), label


def fit(net, steps, noise, batch, lr, g):
    net.train()
    opt = torch.optim.SGD([p for p in net.parameters() if p.requires_grad], lr=lr, momentum=0.9)
    losses = []
    for _ in range(steps):
        x, y = waves(batch, noise, g)
        opt.zero_grad()
        loss = F.cross_entropy(net(x), y)
        loss.backward()
        opt.step()
        losses.append(loss.item())
    return losses


torch.manual_seed(41)
g = torch.Generator().manual_seed(41)
net = Net()
a = fit(net, 60, 0.1, 64, 0.1, g)
net.freeze_bn = True
b = fit(net, 60, 0.6, 8, 0.02, g)             # small batches: keep the old statistics
net.eval()
x, y = waves(400, 0.6, g)
with torch.no_grad():
    acc = (net(x).argmax(1) == y).float().mean().item()
print(f"pre {a[0]:.4f} -> {a[-1]:.4f}; tune {sum(b[:10]) / 10:.4f} -> {sum(b[-10:]) / 10:.4f}; acc {acc:.4f}")
print("bn trains:", net.block.bn1.weight.requires_grad)
