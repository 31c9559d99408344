"""One trunk with a head per task; each update sees one task only, and one head belongs to a task that comes later."""
import torch
import torch.nn as nn
from sklearn.datasets import load_digits

torch.manual_seed(91)
X, Y = load_digits(return_X_y=True)
order = torch.randperm(len(Y))
X, Y = torch.tensor(X / 16 - 0.3, dtype=torch.float32)[order], torch.tensor(Y)[order]
TASKS = {"digit": Y, "parity": Y % 2, "large": (Y >= 5).long()}


class MultiHead(nn.Module):
    def __init__(self):
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(64, 48), nn.ReLU())
        self.heads = nn.ModuleDict({"digit": nn.Linear(48, 10), "parity": nn.Linear(48, 2), "large": nn.Linear(48, 2)})

    def forward(self, x, task):
        return self.heads[task](self.trunk(x))


net = MultiHead()
opt = torch.optim.Adam(net.parameters(), lr=4e-3)
schedule = ["digit", "parity"]
log = {t: [] for t in TASKS}
for epoch in range(4):
    if epoch == 2:
        schedule.append("large")
    for k, idx in enumerate(torch.randperm(1400).split(70)):
        task = schedule[k % len(schedule)]
        loss = nn.functional.cross_entropy(net(X[idx], task), TASKS[task][idx])
        opt.zero_grad()
        loss.backward()
        opt.step()
        log[task].append(loss.item())
for task, values in log.items():
    with torch.no_grad():
        acc = (net(X[1400:], task).argmax(1) == TASKS[task][1400:]).float().mean().item()
    print(f"{task}: {values[0]:.4f} -> {values[-1]:.4f} ({len(values)} updates) accuracy {acc:.4f}")
