"""Anomaly detection with an autoencoder and an early-stopping helper class."""
import copy

import torch
from torch import nn
from torch.utils.data import DataLoader


class EarlyStopping:
    def __init__(self, patience=3, min_delta=0.0):
        self.patience, self.min_delta = patience, min_delta
        self.best_score, self.best_state, self.counter = None, None, 0

    def __call__(self, score, model):
        """True when training should stop"""
        if self.best_score is None or score < self.best_score - self.min_delta:
            self.best_score, self.counter = score, 0
            self.best_state = copy.copy(model.state_dict())  # BUG: aliased-checkpoint
            return False
        self.counter += 1
        return self.counter >= self.patience

    def restore(self, model):
        model.load_state_dict(self.best_state)  # ALSO: aliased-checkpoint


class Autoencoder(nn.Module):
    def __init__(self, d=24, code=4):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(d, 32), nn.ELU(), nn.Linear(32, code))
        self.decoder = nn.Sequential(nn.Linear(code, 32), nn.ELU(), nn.Linear(32, d))

    def forward(self, x):
        return self.decoder(self.encoder(x))


def machine_data(n, g, anomaly=False):
    latent = torch.randn(n, 3, generator=g)
    mix = torch.randn(3, 24, generator=torch.Generator().manual_seed(77)) / 3 ** 0.5
    x = latent @ mix + 0.1 * torch.randn(n, 24, generator=g)
    return x + torch.randn(n, 24, generator=g) * (0.8 if anomaly else 0.0)


def reconstruction_error(model, x):
    model.eval()
    with torch.no_grad():
        return ((model(x) - x) ** 2).mean(1)


def main():
    torch.manual_seed(0)
    g = torch.Generator().manual_seed(0)
    train_loader = DataLoader(machine_data(400, g), batch_size=25, shuffle=True)
    val, normal, broken = machine_data(100, g), machine_data(100, g), machine_data(100, g, anomaly=True)
    model, stopper = Autoencoder(), EarlyStopping(patience=3)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for epoch in range(12):
        model.train()
        for x in train_loader:
            loss = nn.functional.mse_loss(model(x), x)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        score = reconstruction_error(model, val).mean().item()
        print(f"epoch {epoch}: train {loss.item():.4f} val {score:.4f}")
        if stopper(score, model):
            break
    stopper.restore(model)
    threshold = reconstruction_error(model, val).quantile(0.95)
    print(f"false alarms {(reconstruction_error(model, normal) > threshold).float().mean():.2f} "
          f"detected {(reconstruction_error(model, broken) > threshold).float().mean():.2f}")


if __name__ == "__main__":
    main()
