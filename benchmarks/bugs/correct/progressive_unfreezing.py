"""Unfreezes one layer per phase from the top and hands it to the running optimizer by add_param_group."""
import torch
import torch.nn as nn
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split


class Tower(nn.Module):
    def __init__(self):
        super().__init__()
        self.bottom, self.middle, self.top = nn.Linear(64, 64), nn.Linear(64, 64), nn.Linear(64, 10)

    def forward(self, x):
        x = torch.relu(self.bottom(x))
        x = torch.relu(self.middle(x))
        return self.top(x)


def epoch(model, opt, x, y):
    total, n = 0.0, 0
    for idx in torch.randperm(len(y)).split(100):
        opt.zero_grad()
        loss = nn.functional.cross_entropy(model(x[idx]), y[idx])
        loss.backward()
        opt.step()
        total, n = total + loss.item(), n + 1
    return total / n


@torch.no_grad()
def accuracy(model, x, y):
    return (model(x).argmax(1) == y).float().mean().item()


torch.manual_seed(43)
X, Y = load_digits(return_X_y=True)
a, b, ya, yb = train_test_split(X / 16 - 0.3, Y, test_size=0.3, random_state=43, stratify=Y)
a, b = torch.tensor(a, dtype=torch.float32), torch.tensor(b, dtype=torch.float32)
ya, yb = torch.tensor(ya), torch.tensor(yb)

model = Tower()
for p in [*model.bottom.parameters(), *model.middle.parameters()]:
    p.requires_grad = False
opt = torch.optim.Adam(model.top.parameters(), lr=1e-2)
for phase, layer in enumerate([None, model.middle, model.bottom]):
    if layer is not None:
        for p in layer.parameters():
            p.requires_grad = True
        opt.add_param_group({"params": list(layer.parameters()), "lr": 1e-2 * 0.4 ** phase})
    losses = [epoch(model, opt, a, ya) for _ in range(2)]
    print(f"phase {phase}: loss {losses[0]:.4f} {losses[-1]:.4f} accuracy {accuracy(model, b, yb):.4f} groups {len(opt.param_groups)}")
