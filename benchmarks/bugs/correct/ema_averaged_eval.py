"""Validates with exponentially averaged weights swapped into the live model, and swaps the raw weights back."""
import contextlib

import torch
import torch.nn as nn
from sklearn.datasets import make_classification


class WeightAverage:
    def __init__(self, model, decay):
        self.decay = decay
        self.shadow = {n: p.detach().clone() for n, p in model.named_parameters()}

    @torch.no_grad()
    def update(self, model):
        for n, p in model.named_parameters():
            self.shadow[n].lerp_(p, 1 - self.decay)

    @contextlib.contextmanager
    def applied(self, model):
        raw = {n: p.detach().clone() for n, p in model.named_parameters()}
        with torch.no_grad():
            for n, p in model.named_parameters():
                p.copy_(self.shadow[n])
        try:
            yield
        finally:
            with torch.no_grad():
                for n, p in model.named_parameters():
                    p.copy_(raw[n])


torch.manual_seed(88)
X, y = make_classification(1200, 16, n_informative=10, n_classes=3, n_clusters_per_class=1, class_sep=1.2, random_state=88)
X, y = torch.tensor(X, dtype=torch.float32), torch.tensor(y)
X = (X - X[:900].mean(0)) / X[:900].std(0)
model = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Dropout(0.2), nn.Linear(32, 3))
opt = torch.optim.SGD(model.parameters(), lr=0.2)
average = WeightAverage(model, 0.95)
for epoch in range(5):
    model.train()
    total = 0.0
    for idx in torch.randperm(900).split(45):
        opt.zero_grad()
        loss = nn.functional.cross_entropy(model(X[idx]), y[idx])
        loss.backward()
        opt.step()
        average.update(model)
        total += loss.item() / 20
    model.eval()
    with torch.no_grad(), average.applied(model):
        val = nn.functional.cross_entropy(model(X[900:]), y[900:]).item()
    print(f"epoch {epoch} train {total:.4f} averaged valid {val:.4f}")
