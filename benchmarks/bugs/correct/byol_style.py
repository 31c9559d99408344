"""BYOL on noisy digits: a predictor chases a momentum encoder that runs in train mode under no_grad."""
import copy

import torch
import torch.nn as nn
import torch.nn.functional as F
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression


def mlp(i, h, o):
    return nn.Sequential(nn.Linear(i, h), nn.BatchNorm1d(h), nn.ReLU(inplace=True), nn.Linear(h, o))


def regression_loss(p, z):
    return (2 - 2 * F.cosine_similarity(p, z, dim=-1)).mean()


class BYOL(nn.Module):
    def __init__(self, tau=0.97):
        super().__init__()
        self.online = nn.Sequential(mlp(64, 64, 32), mlp(32, 48, 16))
        self.target = copy.deepcopy(self.online)
        self.target.requires_grad_(False)
        self.predictor = mlp(16, 32, 16)
        self.tau = tau

    @torch.no_grad()
    def move_target(self):
        for t, o in zip(self.target.parameters(), self.online.parameters()):
            t.data = self.tau * t.data + (1 - self.tau) * o.data

    def forward(self, a, b):
        p1, p2 = self.predictor(self.online(a)), self.predictor(self.online(b))
        with torch.no_grad():
            z1, z2 = self.target(a).detach(), self.target(b).detach()
        return regression_loss(p1, z2) + regression_loss(p2, z1)


def augment(x):
    keep = (torch.rand_like(x) > 0.15).float()
    return x * keep + 0.1 * torch.randn_like(x)


def linear_probe(model, x, y):
    model.eval()
    with torch.no_grad():
        h = model.online[0](x).numpy()
    model.train()
    return LogisticRegression(max_iter=150).fit(h[:1300], y[:1300]).score(h[1300:], y[1300:])


torch.manual_seed(61)
X, Y = load_digits(return_X_y=True)
x = torch.tensor(X / 16 - 0.3, dtype=torch.float32)
model = BYOL()
opt = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=3e-3)
curve = []
for epoch in range(5):
    total = 0.0
    for idx in torch.randperm(1300).split(100):
        loss = model(augment(x[idx]), augment(x[idx]))
        opt.zero_grad()
        loss.backward()
        opt.step()
        model.move_target()
        total += loss.item() / 13
    curve.append(total)
print("loss", [round(c, 4) for c in curve])
print("linear probe", round(linear_probe(model, x, Y), 3))
