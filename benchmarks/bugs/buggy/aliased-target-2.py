"""BYOL-like self-supervised learning on simulated signals with a momentum encoder."""
import copy

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader

torch.manual_seed(0)


def signals(n):
    f = 1 + 3 * torch.rand(n, 1)
    t = torch.linspace(0, 1, 32)
    return torch.sin(6.28 * f * t + 6.28 * torch.rand(n, 1))


def view(x):
    gain = 0.8 + 0.4 * torch.rand(len(x), 1)
    return gain * x.roll(int(torch.randint(-3, 4, (1,))), dims=1) + 0.1 * torch.randn_like(x)


def mlp(i, h, o):
    return nn.Sequential(nn.Linear(i, h), nn.BatchNorm1d(h), nn.ReLU(), nn.Linear(h, o))


class BYOL(nn.Module):
    def __init__(self, d=24, momentum=0.99):
        super().__init__()
        self.online = mlp(32, 64, d)
        self.predictor = mlp(d, 48, d)
        self.target = copy.deepcopy(self.online).requires_grad_(False)
        self.momentum = momentum
        self.reset_target()

    def reset_target(self):
        """start from exactly the same weights"""
        self.target.load_state_dict(self.online.state_dict(), assign=True)  # BUG: aliased-target
        self.target.requires_grad_(False)

    @torch.no_grad()
    def update_target(self):
        for p_t, p_o in zip(self.target.parameters(), self.online.parameters()):
            p_t.mul_(self.momentum).add_(p_o, alpha=1 - self.momentum)  # ALSO: aliased-target

    def forward(self, v1, v2):
        p1, p2 = self.predictor(self.online(v1)), self.predictor(self.online(v2))
        with torch.no_grad():
            z1, z2 = self.target(v1), self.target(v2)
        return 2 - F.cosine_similarity(p1, z2).mean() - F.cosine_similarity(p2, z1).mean()


loader = DataLoader(signals(1280), batch_size=64, shuffle=True)
model = BYOL()
optimizer = torch.optim.AdamW([*model.online.parameters(), *model.predictor.parameters()], lr=1e-3, weight_decay=1e-4)

for epoch in range(6):
    model.train()
    total = 0.0
    for x in loader:
        loss = model(view(x), view(x))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        model.update_target()
        total += loss.item()
    model.eval()
    with torch.no_grad():
        spread = F.normalize(model.online(signals(256)), dim=1).std(0).mean().item()
    print(f"epoch {epoch}: loss {total / len(loader):.4f} embedding spread {spread:.4f}")
