"""Detect rare defect patches: small CNN with the prior-probability initialisation of the detection papers."""
import math

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset


def patches(n, g):
    x = 0.5 * torch.randn(n, 1, 12, 12, generator=g)
    y = (torch.rand(n, generator=g) < 0.2).float()
    for i in torch.nonzero(y).flatten().tolist():
        r, c = torch.randint(1, 8, (2,), generator=g).tolist()
        x[i, 0, r:r + 3, c:c + 3] += 1.5
    return TensorDataset(x, y)


class DefectNet(nn.Module):
    def __init__(self, prior=0.05):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 12, 3, padding=1)
        self.conv2 = nn.Conv2d(12, 24, 3, padding=1)
        self.fc1 = nn.Linear(24 * 9, 32)
        self.fc2 = nn.Linear(32, 1)
        for m in self.modules():
            if isinstance(m, (nn.Conv2d, nn.Linear)):
                nn.init.constant_(m.bias, -math.log((1 - prior) / prior))  # BUG: dead-units

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)  # ALSO: dead-units
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)  # ALSO: dead-units
        return self.fc2(F.relu(self.fc1(x.flatten(1)))).squeeze(1)  # ALSO: dead-units


def evaluate(model, loader):
    model.eval()
    tp = fp = fn = 0
    with torch.no_grad():
        for x, y in loader:
            p = model(x) > 0
            tp += (p & (y == 1)).sum().item()
            fp += (p & (y == 0)).sum().item()
            fn += (~p & (y == 1)).sum().item()
    return 2 * tp / max(1, 2 * tp + fp + fn)


def main():
    torch.manual_seed(0)
    g = torch.Generator().manual_seed(0)
    train_loader = DataLoader(patches(1280, g), batch_size=40, shuffle=True)
    val_loader = DataLoader(patches(320, g), batch_size=160)
    model = DefectNet()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for epoch in range(4):
        model.train()
        total = 0.0
        for x, y in train_loader:
            optimizer.zero_grad()
            loss = F.binary_cross_entropy_with_logits(model(x), y)
            loss.backward()
            optimizer.step()
            total += loss.item()
        print(f"epoch {epoch}: loss {total / len(train_loader):.4f} val f1 {evaluate(model, val_loader):.3f}")


main()
