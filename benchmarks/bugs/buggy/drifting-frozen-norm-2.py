"""Knowledge transfer in a Trainer: frozen tabular encoder with batch norm, trainable regression head."""
import copy

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class Encoder(nn.Module):
    def __init__(self, d_in=10, d=32):
        super().__init__()
        self.fc1, self.bn1 = nn.Linear(d_in, d), nn.BatchNorm1d(d)
        self.fc2, self.bn2 = nn.Linear(d, d), nn.BatchNorm1d(d)

    def forward(self, x):
        x = torch.relu(self.bn1(self.fc1(x)))
        return torch.relu(self.bn2(self.fc2(x)))


class Regressor(nn.Module):
    def __init__(self, encoder, freeze=False):
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(32, 1)
        if freeze:
            self.encoder.requires_grad_(False)

    def forward(self, x):
        return self.head(self.encoder(x))


class Trainer:
    def __init__(self, model, lr=3e-3):
        self.model = model
        self.optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=lr)
        self.loss = nn.MSELoss()

    def run(self, train_set, val_set, epochs, name):
        train_loader = DataLoader(train_set, batch_size=40, shuffle=True)
        val_loader = DataLoader(val_set, batch_size=200)
        for epoch in range(epochs):
            self.model.train()  # BUG: drifting-frozen-norm
            for x, y in train_loader:
                self.optimizer.zero_grad()
                loss = self.loss(self.model(x), y)  # ALSO: drifting-frozen-norm
                loss.backward()
                self.optimizer.step()
            self.model.eval()
            with torch.no_grad():
                val = sum(self.loss(self.model(x), y).item() for x, y in val_loader) / len(val_loader)
            print(f"{name} epoch {epoch}: train {loss.item():.4f} val {val:.4f}")


def plant(n, shift, g):
    """a simulated plant; `shift` moves the operating point"""
    x = torch.randn(n, 10, generator=g) * 0.7 + shift
    y = torch.sin(x[:, 0]) + 0.5 * x[:, 1] * x[:, 2] - 0.3 * x[:, 3]
    return TensorDataset(x, (y + 0.05 * torch.randn(n, generator=g)).unsqueeze(1))


if __name__ == "__main__":
    torch.manual_seed(0)
    g = torch.Generator().manual_seed(0)
    base = Regressor(Encoder())
    Trainer(base).run(plant(1600, 0.0, g), plant(400, 0.0, g), epochs=2, name="plant A")
    tuned = Regressor(copy.deepcopy(base.encoder), freeze=True)
    Trainer(tuned).run(plant(1200, 0.6, g), plant(400, 0.6, g), epochs=4, name="plant B")
