"""Transformer encoder without any mask that classifies whether a bracket string is balanced."""
import argparse

import torch
import torch.nn as nn


def strings(n, length, g):
    x = torch.randint(0, 2, (n, length), generator=g)
    half = n // 2
    base = torch.tensor([0, 1] * (length // 2))          # make half of them balanced
    for r in range(half):
        seq = base.clone()
        for _ in range(4):
            i, j = sorted(torch.randint(0, length, (2,), generator=g).tolist())
            cand = seq.clone()
            cand[i], cand[j] = seq[j], seq[i]
            depth = (1 - 2 * cand).cumsum(0)
            seq = cand if depth.min() >= 0 else seq
        x[r] = seq
    depth = (1 - 2 * x).cumsum(1)
    y = (depth.min(1).values >= 0) & (depth[:, -1] == 0)
    perm = torch.randperm(n, generator=g)
    return x[perm], y[perm].long()


class Classifier(nn.Module):
    def __init__(self, length, d=32):
        super().__init__()
        self.tok = nn.Embedding(2, d)
        self.pos = nn.Parameter(torch.randn(length, d) * 0.3)
        layer = nn.TransformerEncoderLayer(d, 4, dim_feedforward=64, dropout=0.05, batch_first=True)
        self.enc = nn.TransformerEncoder(layer, num_layers=2)
        self.out = nn.Linear(d, 2)

    def forward(self, x):
        return self.out(self.enc(self.tok(x) + self.pos).max(dim=1).values)


def main(argv=None):
    ap = argparse.ArgumentParser()
    ap.add_argument("--length", type=int, default=10)
    ap.add_argument("--epochs", type=int, default=6)
    a = ap.parse_args(argv)
    torch.manual_seed(52)
    g = torch.Generator().manual_seed(52)
    x, y = strings(800, a.length, g)
    xt, yt = x[640:], y[640:]
    x, y = x[:640], y[:640]
    model = Classifier(a.length)
    opt = torch.optim.Adam(model.parameters(), lr=3e-3)
    for epoch in range(a.epochs):
        model.train()
        s = 0.0
        for idx in torch.randperm(640, generator=g).split(64):
            opt.zero_grad()
            loss = nn.functional.cross_entropy(model(x[idx]), y[idx])
            loss.backward()
            opt.step()
            s += loss.item() / 10
        model.eval()
        with torch.no_grad():
            acc = (model(xt).argmax(1) == yt).float().mean().item()
        print(f"{epoch}: loss {s:.4f} acc {acc:.4f}")


if __name__ == "__main__":
    main()
