"""Stochastic gradient Langevin dynamics: noise is added to the weights under no_grad after each step; samples are kept."""
import math

import torch
import torch.nn as nn
from sklearn.datasets import load_diabetes

torch.manual_seed(180)
X, y = load_diabetes(return_X_y=True)
perm = torch.randperm(len(y))
X = torch.tensor(X, dtype=torch.float32)[perm] * len(y) ** 0.5
y = torch.tensor(y, dtype=torch.float32)[perm]
y = (y - y[:350].mean()) / y[:350].std()
net = nn.Linear(10, 1)
lr, temperature = 0.02, 1e-4
opt = torch.optim.SGD(net.parameters(), lr=lr, weight_decay=1e-3)
draws, losses = [], []
for epoch in range(12):
    for idx in torch.randperm(350).split(35):
        opt.zero_grad()
        loss = nn.functional.mse_loss(net(X[idx]).squeeze(1), y[idx])
        loss.backward()
        opt.step()
        with torch.no_grad():
            for p in net.parameters():
                p.add_(torch.randn_like(p), alpha=math.sqrt(2 * lr * temperature))
        losses.append(loss.item())
    if epoch >= 6:
        draws.append({k: v.clone() for k, v in net.state_dict().items()})

with torch.no_grad():
    outs = torch.stack([torch.func.functional_call(net, d, (X[350:],)).squeeze(1) for d in draws])
mse = (outs.mean(0) - y[350:]).pow(2).mean().item()
print(f"train {sum(losses[:10]) / 10:.4f} -> {sum(losses[-10:]) / 10:.4f}")
print(f"test mse of the averaged posterior {mse:.4f}, spread {outs.std(0).mean().item():.4f}")
