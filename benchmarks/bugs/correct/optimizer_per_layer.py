"""One optimizer per layer with its own learning rate and algorithm, all stepped after one backward."""
import torch
import torch.nn as nn
from sklearn.datasets import load_iris

torch.manual_seed(23)
iris = load_iris()
perm = torch.randperm(150)
x = torch.tensor(iris.data, dtype=torch.float32)[perm]
y = torch.tensor(iris.target)[perm]
x = (x - x[:110].mean(0)) / x[:110].std(0)

layers = nn.ModuleDict({
    "stem": nn.Linear(4, 16),
    "middle": nn.Linear(16, 16),
    "head": nn.Linear(16, 3),
})
optimizers = {
    "stem": torch.optim.SGD(layers["stem"].parameters(), lr=0.1, momentum=0.9),
    "middle": torch.optim.Adam(layers["middle"].parameters(), lr=5e-3),
    "head": torch.optim.Adagrad(layers["head"].parameters(), lr=0.05),
}


def forward(inp):
    h = torch.tanh(layers["stem"](inp))
    h = h + torch.tanh(layers["middle"](h))
    return layers["head"](h)


losses = []
for epoch in range(10):
    for idx in torch.randperm(110).split(22):
        for o in optimizers.values():
            o.zero_grad()
        loss = nn.functional.cross_entropy(forward(x[idx]), y[idx])
        loss.backward()
        for name in ("head", "middle", "stem"):
            optimizers[name].step()
        losses.append(loss.item())

with torch.no_grad():
    acc = (forward(x[110:]).argmax(1) == y[110:]).float().mean().item()
print(f"loss {losses[0]:.4f} -> {losses[-1]:.4f}; test acc {acc:.3f}")
