"""Time-series classification with random masking of the signal in the data set (worker processes)."""
import random

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset


class MaskedSeries(Dataset):
    def __init__(self, n, masking=True, seed=0, length=40):
        g = torch.Generator().manual_seed(seed)
        self.y = torch.randint(0, 3, (n,), generator=g)
        t = torch.linspace(0, 1, length)
        f = torch.tensor([3.0, 4.0, 5.0])[self.y].unsqueeze(1)
        self.x = torch.sin(6.283 * (f * t + torch.rand(n, 1, generator=g))) + 0.3 * torch.randn(n, length, generator=g)
        self.masking = masking
        self.random = random.Random(seed)  # BUG: identical-worker-randomness

    def __len__(self):
        return len(self.y)

    def __getitem__(self, i):
        x = self.x[i].clone()
        if self.masking:
            start = self.random.randint(0, len(x) - 8)  # ALSO: identical-worker-randomness
            width = self.random.randint(2, 8)
            x[start:start + width] = 0
            x *= self.random.uniform(0.6, 1.4)
        return x.unsqueeze(0), self.y[i]


class Trainer:
    def __init__(self, workers=2, batch_size=32, lr=3e-3):
        torch.manual_seed(0)
        self.net = nn.Sequential(
            nn.Conv1d(1, 12, 7, padding=3), nn.ReLU(), nn.MaxPool1d(2),
            nn.Conv1d(12, 16, 5, padding=2), nn.ReLU(), nn.AdaptiveAvgPool1d(4), nn.Flatten(), nn.Linear(64, 3))
        self.opt = torch.optim.Adam(self.net.parameters(), lr=lr)
        self.train_loader = DataLoader(MaskedSeries(960), batch_size, shuffle=True, num_workers=workers)  # ALSO: identical-worker-randomness
        self.val_loader = DataLoader(MaskedSeries(240, masking=False, seed=1), 120)
        self.loss = nn.CrossEntropyLoss()

    def fit(self, epochs):
        for epoch in range(epochs):
            self.net.train()
            for x, y in self.train_loader:
                loss = self.loss(self.net(x), y)
                self.opt.zero_grad()
                loss.backward()
                self.opt.step()
            self.net.eval()
            with torch.no_grad():
                acc = sum((self.net(x).argmax(1) == y).sum().item() for x, y in self.val_loader) / 240
            print(f"epoch {epoch}: loss {loss.item():.4f} val acc {acc:.3f}")


if __name__ == "__main__":
    Trainer().fit(3)
