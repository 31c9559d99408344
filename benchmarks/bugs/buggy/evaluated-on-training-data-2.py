"""Forecasting dataset with train/val/test splits chosen by name; temporal convolution network."""
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, Dataset


class TrafficDataset(Dataset):
    borders = {"train": (0, 1200), "val": (1224, 1550), "test": (1574, 1900)}

    def __init__(self, split="train", lag=24):
        g = torch.Generator().manual_seed(0)
        t = torch.arange(1900, dtype=torch.float32)
        flow = torch.sin(t * 6.283 / 24) + 0.5 * torch.sin(t * 6.283 / 168) + 0.15 * torch.randn(1900, generator=g)
        lo, hi = self.borders[split]
        self.series, self.lag = flow[lo:hi], lag

    def __len__(self):
        return len(self.series) - self.lag

    def __getitem__(self, i):
        return self.series[i:i + self.lag].unsqueeze(0), self.series[i + self.lag:i + self.lag + 1]


class TCN(nn.Module):
    def __init__(self, c=12):
        super().__init__()
        self.convs = nn.ModuleList([nn.Conv1d(1 if d == 1 else c, c, 3, dilation=d) for d in (1, 2, 4)])
        self.fc = nn.Linear(c, 1)

    def forward(self, x):
        for conv in self.convs:
            x = F.relu(conv(F.pad(x, (2 * conv.dilation[0], 0))))
        return self.fc(x[:, :, -1])


class Experiment:
    def __init__(self, batch_size=32, lr=2e-3):
        torch.manual_seed(0)
        self.train_loader = DataLoader(TrafficDataset("train"), batch_size=batch_size, shuffle=True)
        self.val_loader = DataLoader(TrafficDataset(), batch_size=200)  # BUG: evaluated-on-training-data
        self.model = TCN()
        self.opt = torch.optim.Adam(self.model.parameters(), lr=lr)
        self.sched = torch.optim.lr_scheduler.ReduceLROnPlateau(self.opt, patience=1, factor=0.5)

    def train(self, epochs):
        for epoch in range(epochs):
            self.model.train()
            for x, y in self.train_loader:
                loss = F.mse_loss(self.model(x), y)
                self.opt.zero_grad()
                loss.backward()
                self.opt.step()
            val = self.evaluate(self.val_loader)
            self.sched.step(val)
            print(f"epoch {epoch}: train {loss.item():.4f} val {val:.4f} lr {self.opt.param_groups[0]['lr']:.1e}")

    @torch.no_grad()
    def evaluate(self, loader):
        self.model.eval()
        total = n = 0.0
        for x, y in loader:  # ALSO: evaluated-on-training-data
            total += F.mse_loss(self.model(x), y, reduction="sum").item()
            n += len(x)
        return total / n


Experiment().train(4)
