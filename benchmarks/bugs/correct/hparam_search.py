"""Grid search over widths, optimizers and rates: twelve short trainings, then a longer one with the best setting."""
import itertools

import torch
import torch.nn as nn
from sklearn.datasets import make_moons

X, Y = make_moons(900, noise=0.2, random_state=134)
X, Y = torch.tensor(X, dtype=torch.float32), torch.tensor(Y)
X = (X - X[:600].mean(0)) / X[:600].std(0)
parts = {"train": slice(0, 600), "valid": slice(600, 750), "test": slice(750, 900)}
OPTIMIZERS = {
    "sgd": lambda p, lr: torch.optim.SGD(p, lr=lr * 10, momentum=0.9),
    "adam": lambda p, lr: torch.optim.Adam(p, lr=lr),
}


def objective(width, name, lr, epochs=2):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 2))
    opt = OPTIMIZERS[name](model.parameters(), lr)
    tx, ty = X[parts["train"]], Y[parts["train"]]
    for _ in range(epochs):
        for idx in torch.randperm(600).split(60):
            opt.zero_grad()
            loss = nn.functional.cross_entropy(model(tx[idx]), ty[idx])
            loss.backward()
            opt.step()
    return model, score(model, "valid")


@torch.no_grad()
def score(model, part):
    logits = model(X[parts[part]])
    return nn.functional.cross_entropy(logits, Y[parts[part]]).item()


results = {}
for width, name, lr in itertools.product((8, 32), ("sgd", "adam"), (1e-3, 5e-3, 2e-2)):
    _, results[width, name, lr] = objective(width, name, lr)
best = min(results, key=results.get)
model, valid = objective(*best, epochs=6)
print("best", best, f"valid {results[best]:.4f}; worst valid {max(results.values()):.4f}")
print(f"longer run: valid {valid:.4f} test {score(model, 'test'):.4f}")
