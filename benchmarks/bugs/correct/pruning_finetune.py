"""Trains, prunes with torch.nn.utils.prune (weight becomes mask times weight_orig), fine-tunes and makes it permanent."""
import torch
import torch.nn as nn
import torch.nn.utils.prune as prune
from sklearn.datasets import load_digits

torch.manual_seed(196)
X, Y = load_digits(return_X_y=True)
perm = torch.randperm(len(Y))
X, Y = torch.tensor(X / 16 - 0.3, dtype=torch.float32)[perm], torch.tensor(Y)[perm]
net = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))


def train(opt, epochs):
    total = 0.0
    for _ in range(epochs):
        total = 0.0
        for idx in torch.randperm(1400).split(70):
            opt.zero_grad()
            loss = nn.functional.cross_entropy(net(X[idx]), Y[idx])
            loss.backward()
            opt.step()
            total += loss.item() / 20
    return total


@torch.no_grad()
def accuracy():
    return (net(X[1400:]).argmax(1) == Y[1400:]).float().mean().item()


opt = torch.optim.Adam(net.parameters(), lr=5e-3)
dense = train(opt, 3)
print(f"dense loss {dense:.4f} accuracy {accuracy():.4f}")
layers = [net[0], net[2]]
for round_ in range(2):
    prune.global_unstructured([(m, "weight") for m in layers], pruning_method=prune.L1Unstructured, amount=0.5)
    cut = accuracy()
    opt = torch.optim.Adam(net.parameters(), lr=3e-3)     # pruning put weight_orig where weight was
    loss = train(opt, 2)
    print(f"round {round_}: after the cut {cut:.4f}, tuned loss {loss:.4f} accuracy {accuracy():.4f}")
for m in layers:
    prune.remove(m, "weight")
zeros = sum((m.weight == 0).sum().item() for m in layers) / sum(m.weight.numel() for m in layers)
print(f"zero weights {100 * zeros:.1f} %, parameters {[n for n, _ in net.named_parameters()]}")
