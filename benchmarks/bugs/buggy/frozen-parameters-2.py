"""Convolutional classifier of gratings that is adapted to new orientations by training its last layer."""
import copy
import math

import torch
import torch.nn as nn
import torch.nn.functional as F


def gratings(n, angles):
    y = torch.randint(0, len(angles), (n,))
    theta = torch.tensor(angles)[y].view(-1, 1, 1) * math.pi / 180
    yy, xx = torch.meshgrid(torch.linspace(-1, 1, 12), torch.linspace(-1, 1, 12), indexing="ij")
    phase = 2 * math.pi * torch.rand(n, 1, 1)
    img = torch.sin(8 * (xx * theta.cos() + yy * theta.sin()) + phase) + 0.3 * torch.randn(n, 12, 12)
    return img.unsqueeze(1), y


def build(classes):
    return nn.Sequential(
        nn.Conv2d(1, 12, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(12, 24, 3, padding=1), nn.ReLU(), nn.AdaptiveMaxPool2d(1), nn.Flatten(),
        nn.Linear(24, 32), nn.ReLU(),
        nn.Linear(32, classes),
    )


def fit(model, train, val, epochs, lr, tag):
    optimizer = torch.optim.Adam(filter(lambda p: p.requires_grad, model.parameters()), lr=lr)
    x, y = train
    for epoch in range(epochs):
        model.train()
        for idx in torch.randperm(len(x)).split(40):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x[idx]), y[idx])
            loss.backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            acc = (model(val[0]).argmax(1) == val[1]).float().mean().item()
        print(f"[{tag}] epoch {epoch}: loss {loss.item():.3f} val acc {acc:.3f}")


def transfer(base, classes):
    model = copy.deepcopy(base)
    model[-1] = nn.Linear(32, classes)
    for p in list(model.parameters())[:-1]:
        p.requires_grad = False  # BUG: frozen-parameters
    return model


if __name__ == "__main__":
    torch.manual_seed(0)
    old, new = [0.0, 45.0, 90.0, 135.0], [20.0, 65.0, 110.0, 155.0]
    base = build(4)
    fit(base, gratings(800, old), gratings(200, old), epochs=3, lr=3e-3, tag="base")
    adapted = transfer(base, 4)
    fit(adapted, gratings(1000, new), gratings(200, new), epochs=4, lr=3e-3, tag="adapt")
