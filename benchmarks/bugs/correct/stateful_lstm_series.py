"""Stateful LSTM forecaster: unshuffled windows in time order, the state carried from window to window."""
import math

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class Forecaster(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(1, 20, num_layers=2, batch_first=True)
        self.head = nn.Linear(20, 1)

    def forward(self, x, state=None):
        h, state = self.lstm(x, state)
        return self.head(h), state


def make_series(n):
    t = torch.arange(n, dtype=torch.float32)
    return torch.sin(2 * math.pi * t / 25) * 0.7 + 0.3 * torch.sin(2 * math.pi * t / 7) + 0.02 * torch.randn(n)


def repackage(state):
    return tuple(s.detach() for s in state)


def run():
    torch.manual_seed(48)
    s = make_series(1300)
    train, test = s[:1025], s[1025:]
    windows = TensorDataset(train[:-1].view(-1, 32, 1), train[1:].view(-1, 32, 1))
    loader = DataLoader(windows, batch_size=1, shuffle=False)
    net = Forecaster()
    opt = torch.optim.Adam(net.parameters(), lr=1e-2)
    for epoch in range(4):
        state, total = None, 0.0
        for x, y in loader:
            pred, state = net(x, state)
            state = repackage(state)
            loss = nn.functional.mse_loss(pred, y)
            opt.zero_grad()
            loss.backward()
            opt.step()
            total += loss.item()
        print(f"epoch {epoch}: {total / len(loader):.5f}")
    net.eval()
    with torch.no_grad():
        pred, _ = net(test[:-1].view(1, -1, 1), state)
        print(f"test mse {nn.functional.mse_loss(pred, test[1:].view(1, -1, 1)).item():.5f}, naive {(test[1:] - test[:-1]).pow(2).mean().item():.5f}")


run()
