"""Fit an LSTM that forecasts the next value of a noisy two-tone signal."""
import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def make_windows(series, length):
    xs = np.stack([series[i:i + length] for i in range(len(series) - length)])
    ys = series[length:]
    return torch.tensor(xs, dtype=torch.float32).unsqueeze(-1), torch.tensor(ys, dtype=torch.float32).unsqueeze(-1)


class Forecaster(nn.Module):
    def __init__(self, hidden=24):
        super().__init__()
        self.lstm = nn.LSTM(1, hidden, batch_first=True)
        self.out = nn.Linear(hidden, 1)

    def forward(self, x):
        h, _ = self.lstm(x)
        return self.out(h[:, -1])


def train_epoch(model, loader, optimizer, loss_fn):
    model.train()
    optimizer.zero_grad()
    losses = []
    for xb, yb in loader:
        loss = loss_fn(model(xb), yb)
        loss.backward()  # ALSO: stale-gradients
        optimizer.step()  # BUG: stale-gradients
        losses.append(loss.item())
    return float(np.mean(losses))


@torch.no_grad()
def validate(model, loader, loss_fn):
    model.eval()
    return float(np.mean([loss_fn(model(xb), yb).item() for xb, yb in loader]))


def main():
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    t = np.arange(1400)
    series = np.sin(t / 9.0) + 0.5 * np.sin(t / 3.7) + 0.05 * rng.standard_normal(len(t))
    train_x, train_y = make_windows(series[:1100], 20)
    val_x, val_y = make_windows(series[1100:], 20)
    train_loader = DataLoader(TensorDataset(train_x, train_y), batch_size=32, shuffle=True)
    val_loader = DataLoader(TensorDataset(val_x, val_y), batch_size=128)

    model = Forecaster()
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    loss_fn = nn.MSELoss()
    for epoch in range(1, 6):
        tr = train_epoch(model, train_loader, optimizer, loss_fn)
        va = validate(model, val_loader, loss_fn)
        print(f"epoch {epoch:2d}  train mse {tr:.4f}  val mse {va:.4f}")


if __name__ == "__main__":
    main()
