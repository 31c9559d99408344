"""Lookahead written as a subclass of Adam that calls super().step() and pulls slow weights every five steps."""
import torch
import torch.nn as nn
from sklearn.datasets import load_breast_cancer


class LookaheadAdam(torch.optim.Adam):
    def __init__(self, params, lr, k=5, alpha=0.5):
        super().__init__(params, lr=lr)
        self.k, self.alpha, self.count = k, alpha, 0
        self.slow = [[p.detach().clone() for p in g["params"]] for g in self.param_groups]

    def step(self, closure=None):
        loss = super().step(closure)
        self.count += 1
        if self.count % self.k == 0:
            with torch.no_grad():
                for group, slow in zip(self.param_groups, self.slow):
                    for p, s in zip(group["params"], slow):
                        s.add_(p - s, alpha=self.alpha)
                        p.copy_(s)
        return loss


torch.manual_seed(35)
cancer = load_breast_cancer()
perm = torch.randperm(len(cancer.target))
X = torch.tensor(cancer.data, dtype=torch.float32)[perm]
y = torch.tensor(cancer.target)[perm]
X = (X - X[:450].mean(0)) / X[:450].std(0)

model = nn.Sequential(nn.Linear(30, 16), nn.ReLU(), nn.Linear(16, 2))
opt = LookaheadAdam(model.parameters(), lr=1e-2)
losses = []
for epoch in range(6):
    for idx in torch.randperm(450).split(45):
        loss = nn.functional.cross_entropy(model(X[idx]), y[idx])
        opt.zero_grad()
        loss.backward()
        opt.step()
        losses.append(loss.item())
with torch.no_grad():
    acc = (model(X[450:]).argmax(1) == y[450:]).float().mean().item()
print(f"first {losses[0]:.4f} last epoch {sum(losses[-10:]) / 10:.4f} test {acc:.4f}")
