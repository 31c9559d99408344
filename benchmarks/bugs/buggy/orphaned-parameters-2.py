"""Continue training of a time-series MLP from stored weights, with a Trainer class."""
import io

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def energy_series(n, seed):
    g = torch.Generator().manual_seed(seed)
    t = torch.arange(n, dtype=torch.float32)
    s = torch.sin(t / 6) + 0.4 * torch.sin(t / 24 + 1) + 0.1 * torch.randn(n, generator=g)
    return (s - s.mean()) / s.std()


def windows(series, lag=24):
    w = series.unfold(0, lag + 1, 1)
    return TensorDataset(w[:, :lag], w[:, lag:])


def make_net():
    return nn.Sequential(nn.Linear(24, 48), nn.ReLU(), nn.Linear(48, 24), nn.ReLU(), nn.Linear(24, 1))


def pretrained_weights():
    """stands for a file that an earlier job has written"""
    net = make_net()
    opt = torch.optim.Adam(net.parameters(), lr=3e-3)
    data = windows(energy_series(400, seed=5))
    for x, y in DataLoader(data, batch_size=64, shuffle=True):
        opt.zero_grad()
        nn.functional.mse_loss(net(x), y).backward()
        opt.step()
    buffer = io.BytesIO()
    torch.save(net.state_dict(), buffer)
    buffer.seek(0)
    return buffer


class Trainer:
    def __init__(self, net, train_set, val_set, lr=1e-3):
        self.net = net
        self.optimizer = torch.optim.AdamW(net.parameters(), lr=lr)  # ALSO: orphaned-parameters
        self.criterion = nn.MSELoss()
        self.train_loader = DataLoader(train_set, batch_size=32, shuffle=True)
        self.val_loader = DataLoader(val_set, batch_size=256)

    def load_weights(self, file):
        state = torch.load(file, weights_only=True)
        self.net.load_state_dict(state, assign=True)  # BUG: orphaned-parameters

    def fit(self, epochs):
        for epoch in range(epochs):
            self.net.train()
            for x, y in self.train_loader:
                loss = self.criterion(self.net(x), y)
                self.net.zero_grad()
                loss.backward()
                self.optimizer.step()  # ALSO: orphaned-parameters
            print(f"epoch {epoch + 1}: val mse {self.validate():.4f}")

    @torch.no_grad()
    def validate(self):
        self.net.eval()
        return sum(self.criterion(self.net(x), y).item() for x, y in self.val_loader) / len(self.val_loader)


torch.manual_seed(0)
series = energy_series(1500, seed=0)
trainer = Trainer(make_net(), windows(series[:1100]), windows(series[1100:]))
trainer.load_weights(pretrained_weights())
trainer.fit(4)
