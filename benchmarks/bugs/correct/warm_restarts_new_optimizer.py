"""Cosine cycles with a fresh Adam at the start of each cycle, keeping a copied snapshot of every cycle for an ensemble."""
import copy
import math

import torch
import torch.nn as nn
from sklearn.datasets import make_circles


def data():
    X, y = make_circles(800, noise=0.1, factor=0.4, random_state=24)
    X = torch.tensor(X, dtype=torch.float32)
    return X[:600], torch.tensor(y[:600]), X[600:], torch.tensor(y[600:])


def run_cycle(model, x, y, peak, epochs):
    optimizer = torch.optim.Adam(model.parameters(), lr=peak)
    n_batches = math.ceil(len(x) / 60)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs * n_batches, eta_min=peak / 50)
    mean = 0.0
    for _ in range(epochs):
        mean = 0.0
        for idx in torch.randperm(len(x)).split(60):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(x[idx]), y[idx])
            loss.backward()
            optimizer.step()
            scheduler.step()
            mean += loss.item() / n_batches
    return mean


def main():
    torch.manual_seed(24)
    x, y, xt, yt = data()
    model = nn.Sequential(nn.Linear(2, 24), nn.ReLU(), nn.Linear(24, 24), nn.ReLU(), nn.Linear(24, 2))
    snapshots, means = [], []
    for _ in range(4):
        means.append(run_cycle(model, x, y, peak=1e-2, epochs=3))
        snapshots.append(copy.deepcopy(model).eval())
    with torch.no_grad():
        p = torch.stack([s(xt).softmax(-1) for s in snapshots]).mean(0)
    print("cycle losses", [round(m, 4) for m in means])
    print("ensemble accuracy", round((p.argmax(1) == yt).float().mean().item(), 4))


main()
