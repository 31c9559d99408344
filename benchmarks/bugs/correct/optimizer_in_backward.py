"""Steps a one-parameter optimizer inside backward, from post-accumulate-grad hooks, so that no gradient outlives it."""
import torch
from torch import nn
from sklearn.datasets import load_digits

torch.manual_seed(22)
X, y = load_digits(return_X_y=True)
order = torch.randperm(len(y))
X = (torch.tensor(X, dtype=torch.float32) - 4.88) / 6.0
X, y = X[order], torch.tensor(y)[order]
train_x, train_y, val_x, val_y = X[:1400], y[:1400], X[1400:], y[1400:]

model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
optimizer_dict = {p: torch.optim.Adam([p], lr=3e-3, foreach=False) for p in model.parameters()}


def optimizer_hook(parameter) -> None:
    optimizer_dict[parameter].step()
    optimizer_dict[parameter].zero_grad()


for p in model.parameters():
    p.register_post_accumulate_grad_hook(optimizer_hook)

first = None
for epoch in range(3):
    total = 0.0
    for idx in torch.randperm(len(train_y)).split(70):
        loss = nn.functional.cross_entropy(model(train_x[idx]), train_y[idx])
        loss.backward()          # the step happens in here
        first = loss.item() if first is None else first
        total += loss.item()
    with torch.no_grad():
        acc = (model(val_x).argmax(1) == val_y).float().mean()
    print(f"epoch {epoch}: loss {total / 20:.4f} val acc {acc:.4f}")
print(f"first batch {first:.4f}; gradients kept: {sum(p.grad is not None for p in model.parameters())}")
