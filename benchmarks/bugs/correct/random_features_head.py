"""Random Fourier features (a fixed buffer) and a fixed random layer; only the linear read-out is trained."""
import math

import torch
import torch.nn as nn
from sklearn.datasets import make_moons


class RandomFeatures(nn.Module):
    def __init__(self, d_in, n, gamma):
        super().__init__()
        self.register_buffer("freq", torch.randn(d_in, n) * math.sqrt(2 * gamma))
        self.register_buffer("phase", torch.rand(n) * 2 * math.pi)

    def forward(self, x):
        return torch.cos(x @ self.freq + self.phase) * math.sqrt(2.0 / len(self.phase))


def main():
    torch.manual_seed(46)
    X, y = make_moons(700, noise=0.2, random_state=46)
    X, y = torch.tensor(X, dtype=torch.float32), torch.tensor(y, dtype=torch.float32)
    mean, std = X[:500].mean(0), X[:500].std(0)
    X = (X - mean) / std
    lift = nn.Linear(2, 6)
    lift.requires_grad_(False)
    model = nn.Sequential(lift, RandomFeatures(6, 200, 0.4), nn.Linear(200, 1))
    optimizer = torch.optim.SGD(filter(lambda p: p.requires_grad, model.parameters()), lr=2.0, momentum=0.9)
    track = []
    for epoch in range(8):
        total = 0.0
        for idx in torch.randperm(500).split(50):
            loss = nn.functional.binary_cross_entropy_with_logits(model(X[idx]).view(-1), y[idx])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() / 10
        track.append(total)
    with torch.no_grad():
        acc = ((model(X[500:]).view(-1) > 0) == (y[500:] > 0.5)).float().mean().item()
    print("loss", [round(t, 4) for t in track[::2]], "accuracy", round(acc, 4))


main()
