"""LSTM classifier of sine, square and sawtooth waves."""
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset


def waves(n, rng, length=24):
    kind = rng.integers(0, 3, n)
    t = np.linspace(0, 2, length)[None] + rng.uniform(0, 1, (n, 1))
    shapes = np.stack([np.sin(2 * np.pi * t), np.sign(np.sin(2 * np.pi * t)), 2 * (t % 1) - 1])
    x = shapes[kind, np.arange(n)] + 0.15 * rng.standard_normal((n, length))
    return TensorDataset(torch.tensor(x, dtype=torch.float32).unsqueeze(-1), torch.tensor(kind))


class WaveLSTM(nn.Module):
    def __init__(self, hidden=24):
        super().__init__()
        self.lstm = nn.LSTM(1, hidden, batch_first=True)
        self.linear = nn.Linear(hidden, 3)

    def forward(self, x):
        out, (h, c) = self.lstm(x)
        return F.softmax(self.linear(h[-1]), dim=1)  # ALSO: raw-logits-in-nll


def main():
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    train_loader = DataLoader(waves(1120, rng), batch_size=32, shuffle=True)
    val_loader = DataLoader(waves(240, rng), batch_size=120)
    model = WaveLSTM()
    optimizer = torch.optim.Adam(model.parameters(), lr=4e-3)

    for epoch in range(4):
        model.train()
        for x, y in train_loader:
            optimizer.zero_grad()
            output = model(x)
            loss = F.nll_loss(output, y)  # BUG: raw-logits-in-nll
            loss.backward()
            optimizer.step()

        model.eval()
        correct = 0
        with torch.no_grad():
            for x, y in val_loader:
                correct += (model(x).argmax(1) == y).sum().item()
        print(f"epoch {epoch}: loss {loss.item():.4f} val acc {correct / 240:.3f}")


if __name__ == "__main__":
    main()
