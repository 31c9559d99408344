"""Deep regression network for a robot arm's forward kinematics, configurable depth."""
import argparse
import math

import torch
import torch.nn as nn
from torch.utils.data import DataLoader, TensorDataset


class DeepRegressor(nn.Module):
    def __init__(self, n_in, n_out, width, depth):
        super().__init__()
        sizes = [n_in] + [width] * depth
        self.hidden = nn.ModuleList([nn.Linear(a, b) for a, b in zip(sizes[:-1], sizes[1:])])
        self.out = nn.Linear(width, n_out)
        for layer in self.hidden:
            nn.init.normal_(layer.weight)  # BUG: exploding-gradients
            nn.init.zeros_(layer.bias)

    def forward(self, x):
        for layer in self.hidden:
            x = torch.relu(layer(x))  # ALSO: exploding-gradients
        return self.out(x)


def arm(n, joints=4):
    q = (torch.rand(n, joints) * 2 - 1) * math.pi / 2
    a = torch.cumsum(q, dim=1)
    xy = torch.stack([a.cos().sum(1), a.sin().sum(1)], dim=1) / joints
    return TensorDataset(q, xy)


def run(args):
    torch.manual_seed(args.seed)
    train_loader = DataLoader(arm(1200), batch_size=args.batch, shuffle=True)
    val_loader = DataLoader(arm(300), batch_size=300)
    net = DeepRegressor(4, 2, args.width, args.depth)
    opt = torch.optim.Adam(net.parameters(), lr=args.lr)
    mse = nn.MSELoss()
    for epoch in range(args.epochs):
        net.train()
        for q, xy in train_loader:
            loss = mse(net(q), xy)
            opt.zero_grad()
            loss.backward()  # ALSO: exploding-gradients
            opt.step()  # ALSO: exploding-gradients
        net.eval()
        with torch.no_grad():
            val = sum(mse(net(q), xy).item() for q, xy in val_loader)
        print(f"epoch {epoch}: train {loss.item():.4g} val {val:.4g}")


if __name__ == "__main__":
    p = argparse.ArgumentParser()
    p.add_argument("--width", type=int, default=48)
    p.add_argument("--depth", type=int, default=6)
    p.add_argument("--lr", type=float, default=1e-3)
    p.add_argument("--batch", type=int, default=40)
    p.add_argument("--epochs", type=int, default=4)
    p.add_argument("--seed", type=int, default=0)
    run(p.parse_args())
