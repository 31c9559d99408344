"""Auxiliary classifiers after early stages join the loss in training only; evaluation uses the last head."""
import torch
import torch.nn as nn
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader, TensorDataset


class Staged(nn.Module):
    def __init__(self):
        super().__init__()
        self.stages = nn.ModuleList([nn.Sequential(nn.Linear(64, 48), nn.ReLU()), nn.Sequential(nn.Linear(48, 48), nn.ReLU()), nn.Sequential(nn.Linear(48, 32), nn.ReLU())])
        self.heads = nn.ModuleList([nn.Linear(48, 10), nn.Linear(48, 10), nn.Linear(32, 10)])

    def forward(self, x):
        outs = []
        for stage, head in zip(self.stages, self.heads):
            x = stage(x)
            outs.append(head(x))
        return outs if self.training else outs[-1]


torch.manual_seed(182)
X, Y = load_digits(return_X_y=True)
perm = torch.randperm(len(Y))
X, Y = torch.tensor(X / 16 - 0.3, dtype=torch.float32)[perm], torch.tensor(Y)[perm]
loader = DataLoader(TensorDataset(X[:1400], Y[:1400]), batch_size=70, shuffle=True)
net = Staged()
opt = torch.optim.Adam(net.parameters(), lr=4e-3)
weights = (0.3, 0.3, 1.0)
for epoch in range(3):
    net.train()
    sums = [0.0, 0.0, 0.0]
    for x, y in loader:
        losses = [F.cross_entropy(o, y) for o in net(x)]
        opt.zero_grad()
        for k, (w, l) in enumerate(zip(weights, losses)):
            (w * l).backward(retain_graph=k < 2)
            sums[k] += l.item() / len(loader)
        opt.step()
    net.eval()
    with torch.no_grad():
        acc = (net(X[1400:]).argmax(1) == Y[1400:]).float().mean().item()
    print(f"epoch {epoch} losses", [round(s, 4) for s in sums], f"accuracy {acc:.4f}")
