"""Set transformer that estimates the spread of a set of points, with configurable layers."""
import argparse

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset


class SetTransformer(nn.Module):
    def __init__(self, d_in, d_model=32, nhead=4, layers=2):
        super().__init__()
        self.embed = nn.Linear(d_in, d_model)
        block = nn.TransformerEncoderLayer(d_model, nhead, dim_feedforward=64, dropout=0.0)  # BUG: mixed-samples
        self.encoder = nn.TransformerEncoder(block, layers)
        self.head = nn.Sequential(nn.Linear(d_model, 32), nn.ReLU(), nn.Linear(32, 1))

    def forward(self, points):                       # (batch, points, coordinates)
        h = self.encoder(self.embed(points))  # ALSO: mixed-samples
        return self.head(h.mean(dim=1)).squeeze(1)


def point_sets(n, size, g):
    spread = 0.3 + 1.4 * torch.rand(n, generator=g)
    centre = torch.randn(n, 1, 2, generator=g)
    pts = centre + spread.view(n, 1, 1) * torch.randn(n, size, 2, generator=g)
    return TensorDataset(pts, spread - 1.0)


def main(cfg):
    torch.manual_seed(cfg.seed)
    g = torch.Generator().manual_seed(cfg.seed)
    train_loader = DataLoader(point_sets(960, cfg.points, g), batch_size=cfg.batch, shuffle=True)
    val_loader = DataLoader(point_sets(256, cfg.points, g), batch_size=64)
    model = SetTransformer(2, layers=cfg.layers)
    optimizer = torch.optim.AdamW(model.parameters(), lr=cfg.lr)
    for epoch in range(cfg.epochs):
        model.train()
        for pts, spread in train_loader:
            loss = F.smooth_l1_loss(model(pts), spread)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            mae = sum((model(p) - s).abs().mean().item() for p, s in val_loader) / len(val_loader)
        print(f"epoch {epoch}: loss {loss.item():.4f} val mae {mae:.4f}")


if __name__ == "__main__":
    ap = argparse.ArgumentParser()
    ap.add_argument("--points", type=int, default=10)
    ap.add_argument("--layers", type=int, default=2)
    ap.add_argument("--batch", type=int, default=32)
    ap.add_argument("--epochs", type=int, default=4)
    ap.add_argument("--lr", type=float, default=1e-3)
    ap.add_argument("--seed", type=int, default=0)
    main(ap.parse_args())
