"""Small transformer for set-sum regression; the best model of the run is evaluated on the test set."""
import argparse

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset


class SetRegressor(nn.Module):
    def __init__(self, d=24):
        super().__init__()
        self.inp = nn.Linear(2, d)
        self.enc = nn.TransformerEncoderLayer(d, 3, 48, dropout=0.0, batch_first=True, norm_first=True)
        self.out = nn.Linear(d, 1)

    def forward(self, x):
        return self.out(self.enc(self.inp(x)).mean(1)).squeeze(1)


def sets(n, g):
    x = torch.randn(n, 6, 2, generator=g)
    y = (x[..., 0] * torch.sigmoid(2 * x[..., 1])).sum(1) + 0.5 * torch.randn(n, generator=g)
    return TensorDataset(x, y)


def run_validation(model, loader):
    model.eval()
    with torch.no_grad():
        return sum(F.mse_loss(model(x), y, reduction="sum").item() for x, y in loader) / len(loader.dataset)


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--epochs", type=int, default=10)
    ap.add_argument("--lr", type=float, default=5e-3)
    args = ap.parse_args()
    torch.manual_seed(0)
    g = torch.Generator().manual_seed(0)
    train = DataLoader(sets(320, g), batch_size=20, shuffle=True)
    val, test = DataLoader(sets(150, g), batch_size=150), DataLoader(sets(150, g), batch_size=150)
    model = SetRegressor()
    optimizer = torch.optim.Adam(model.parameters(), lr=args.lr)
    best_loss, best_model = float("inf"), None
    for epoch in range(args.epochs):
        model.train()
        for x, y in train:
            optimizer.zero_grad()
            loss = F.mse_loss(model(x), y)
            loss.backward()
            optimizer.step()
        val_loss = run_validation(model, val)
        mark = ""
        if val_loss < best_loss:
            best_loss, mark = val_loss, " *"
            best_model = {"epoch": epoch, "weights": dict(model.named_parameters())}  # BUG: aliased-checkpoint
        print(f"epoch {epoch}: train {loss.item():.4f} val {val_loss:.4f}{mark}")

    model.load_state_dict(best_model["weights"])  # ALSO: aliased-checkpoint
    print(f"epoch {best_model['epoch']} restored, val {best_loss:.4f}, test {run_validation(model, test):.4f}")


if __name__ == "__main__":
    main()
