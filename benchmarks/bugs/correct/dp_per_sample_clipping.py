"""DP-SGD by hand: each sample's gradient is clipped on its own, summed, noised and averaged before the step."""
import torch
import torch.nn as nn
from sklearn.datasets import load_breast_cancer
from torch.nn.utils import clip_grad_norm_

torch.manual_seed(111)
cancer = load_breast_cancer()
perm = torch.randperm(len(cancer.target))
X, y = torch.tensor(cancer.data, dtype=torch.float32)[perm], torch.tensor(cancer.target, dtype=torch.float32)[perm]
X = (X - X[:450].mean(0)) / X[:450].std(0)
MAX_NORM, SIGMA, LOT = 1.0, 0.6, 30

net = nn.Linear(30, 1)
opt = torch.optim.SGD(net.parameters(), lr=0.5)
curve = []
for epoch in range(3):
    for lot in torch.randperm(450).split(LOT):
        summed = [torch.zeros_like(p) for p in net.parameters()]
        value = 0.0
        for i in lot:
            loss = nn.functional.binary_cross_entropy_with_logits(net(X[i]).squeeze(), y[i])
            loss.backward()
            clip_grad_norm_(net.parameters(), MAX_NORM)
            for s, p in zip(summed, net.parameters()):
                s += p.grad
            net.zero_grad()
            value += loss.item() / LOT
        for s, p in zip(summed, net.parameters()):
            p.grad = (s + SIGMA * MAX_NORM * torch.randn_like(s)) / LOT
        opt.step()
        opt.zero_grad()
        curve.append(value)

with torch.no_grad():
    acc = ((net(X[450:]).squeeze(1) > 0).float() == y[450:]).float().mean().item()
print("loss", [round(curve[k], 4) for k in (0, 15, 30, 44)], "test accuracy", round(acc, 4))
