"""Step-based regression on an endless loader; an accumulation window may span two passes over the data."""
import argparse
import itertools

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def cycle(loader):
    while True:
        yield from loader


def parse():
    p = argparse.ArgumentParser()
    p.add_argument("--steps", type=int, default=60)
    p.add_argument("--accum", type=int, default=3)
    p.add_argument("--lr", type=float, default=1e-2)
    return p.parse_args()


def main():
    args = parse()
    torch.manual_seed(3)
    x = torch.randn(400, 5)
    y = torch.sin(x[:, 0]) + 0.5 * x[:, 1] * x[:, 2]
    xv = torch.randn(100, 5)
    yv = torch.sin(xv[:, 0]) + 0.5 * xv[:, 1] * xv[:, 2]
    # 400 / 40 = 10 micro-batches per pass, which 3 does not divide
    stream = cycle(DataLoader(TensorDataset(x, y), batch_size=40, shuffle=True))
    net = nn.Sequential(nn.Linear(5, 32), nn.Tanh(), nn.Linear(32, 1), nn.Flatten(0))
    opt = torch.optim.Adam(net.parameters(), lr=args.lr)

    def validate():
        net.eval()
        with torch.no_grad():
            mse = nn.functional.mse_loss(net(xv), yv).item()
        net.train()
        return mse

    trace = [validate()]
    for step in range(1, args.steps + 1):
        for xb, yb in itertools.islice(stream, args.accum):
            loss = nn.functional.mse_loss(net(xb), yb) / args.accum
            loss.backward()
        opt.step()
        opt.zero_grad()
        if step % 20 == 0:
            trace.append(validate())
    print("val mse", " ".join(f"{v:.4f}" for v in trace))


if __name__ == "__main__":
    main()
