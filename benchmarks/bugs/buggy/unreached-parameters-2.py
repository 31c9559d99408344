"""Signal classifier with a learned front end; the spectrum is taken with NumPy."""
import argparse

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class SpectralNet(nn.Module):
    def __init__(self, length=64, filters=4, classes=3):
        super().__init__()
        self.frontend = nn.Conv1d(1, filters, 9, padding=4)
        self.norm = nn.BatchNorm1d(filters)
        self.backend = nn.Sequential(
            nn.Flatten(), nn.Linear(filters * (length // 2 + 1), 48), nn.ReLU(), nn.Linear(48, classes))

    def power_spectrum(self, signal):
        spectrum = np.abs(np.fft.rfft(signal.detach().numpy(), axis=-1))  # BUG: unreached-parameters
        return torch.from_numpy(np.log1p(spectrum)).float()  # ALSO: unreached-parameters

    def forward(self, x):
        x = self.norm(self.frontend(x))
        return self.backend(self.power_spectrum(x))


def tones(n, rng, length=64):
    label = rng.integers(0, 3, n)
    freq = np.array([3.0, 5.0, 8.0])[label] + rng.uniform(-0.8, 0.8, n)
    t = np.linspace(0, 1, length)
    x = np.sin(2 * np.pi * freq[:, None] * t + rng.uniform(0, 2 * np.pi, (n, 1))) + 0.7 * rng.standard_normal((n, length))
    return TensorDataset(torch.tensor(x, dtype=torch.float32).unsqueeze(1), torch.tensor(label))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--filters", type=int, default=4)
    args = parser.parse_args()

    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    train_loader = DataLoader(tones(1024, rng), batch_size=32, shuffle=True)
    val_loader = DataLoader(tones(256, rng), batch_size=128)
    model = SpectralNet(filters=args.filters)
    optimizer = torch.optim.Adam(model.parameters(), lr=args.lr)
    criterion = nn.CrossEntropyLoss()
    for epoch in range(args.epochs):
        model.train()
        for x, y in train_loader:
            optimizer.zero_grad()
            loss = criterion(model(x), y)
            loss.backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            acc = sum((model(x).argmax(1) == y).sum().item() for x, y in val_loader) / 256
        print(f"epoch {epoch}: loss {loss.item():.4f} val acc {acc:.3f}")


if __name__ == "__main__":
    main()
