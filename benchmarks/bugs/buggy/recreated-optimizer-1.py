"""Pixel-to-label training on digits; one function per epoch, called from a loop."""
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import nn, optim
from torch.utils.data import DataLoader, TensorDataset, random_split


class LeNetish(nn.Module):
    def __init__(self):
        super().__init__()
        self.c1 = nn.Conv2d(1, 6, 3, padding=1)
        self.c2 = nn.Conv2d(6, 16, 3)
        self.f1 = nn.Linear(16, 48)
        self.f2 = nn.Linear(48, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.c1(x)), 2)
        x = F.max_pool2d(F.relu(self.c2(x)), 2)
        return self.f2(F.relu(self.f1(x.flatten(1))))


def train_one_epoch(net, loader, lr):
    net.train()
    optimizer = optim.Adam(net.parameters(), lr=lr)  # BUG: recreated-optimizer
    running = 0.0
    for x, y in loader:
        optimizer.zero_grad()
        loss = F.cross_entropy(net(x), y)
        loss.backward()
        optimizer.step()
        running += loss.item()
    return running / len(loader)


@torch.no_grad()
def evaluate(net, loader):
    net.eval()
    return sum((net(x).argmax(1) == y).sum().item() for x, y in loader) / len(loader.dataset)


def main(epochs=6, lr=1e-3, batch_size=64):
    torch.manual_seed(1)
    d = load_digits()
    data = TensorDataset(torch.tensor(d.images).float().unsqueeze(1) / 16, torch.tensor(d.target))
    train_set, val_set = random_split(data, [1500, 297])
    train_loader = DataLoader(train_set, batch_size, shuffle=True)
    val_loader = DataLoader(val_set, 297)
    net = LeNetish()
    best = 0.0
    for epoch in range(epochs):
        loss = train_one_epoch(net, train_loader, lr)
        acc = evaluate(net, val_loader)
        best = max(best, acc)
        print(f"epoch {epoch}: loss {loss:.4f}, val acc {acc:.4f} (best {best:.4f})")


if __name__ == "__main__":
    main()
