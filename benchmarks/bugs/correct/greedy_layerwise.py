"""Stacked autoencoders: each layer is trained greedily with its own optimizer on detached codes, then all are fine-tuned."""
import torch
import torch.nn as nn
from sklearn.datasets import load_digits

torch.manual_seed(174)
X, Y = load_digits(return_X_y=True)
perm = torch.randperm(len(Y))
X, Y = torch.tensor(X / 16 - 0.3, dtype=torch.float32)[perm], torch.tensor(Y)[perm]
train_x, train_y, test_x, test_y = X[:1400], Y[:1400], X[1400:], Y[1400:]


def pretrain(layer, data, epochs=3):
    decoder = nn.Linear(layer[0].out_features, layer[0].in_features)
    opt = torch.optim.Adam([*layer.parameters(), *decoder.parameters()], lr=5e-3)
    log = []
    for _ in range(epochs):
        for idx in torch.randperm(len(data)).split(100):
            opt.zero_grad()
            loss = nn.functional.mse_loss(decoder(layer(data[idx])), data[idx])
            loss.backward()
            opt.step()
            log.append(loss.item())
    with torch.no_grad():
        return layer(data), log


sizes, layers, codes = [64, 48, 32], [], train_x
for i, (a, b) in enumerate(zip(sizes[:-1], sizes[1:])):
    layer = nn.Sequential(nn.Linear(a, b), nn.Tanh())
    codes, log = pretrain(layer, codes)
    layers.append(layer)
    print(f"layer {i}: {log[0]:.4f} -> {log[-1]:.4f}")

model = nn.Sequential(*layers, nn.Linear(32, 10))
opt = torch.optim.SGD(model.parameters(), lr=0.2, momentum=0.9)
for epoch in range(3):
    total = 0.0
    for idx in torch.randperm(1400).split(70):
        opt.zero_grad()
        loss = nn.functional.cross_entropy(model(train_x[idx]), train_y[idx])
        loss.backward()
        opt.step()
        total += loss.item() / 20
with torch.no_grad():
    acc = (model(test_x).argmax(1) == test_y).float().mean().item()
print(f"fine-tuned {total:.4f} accuracy {acc:.4f}")
