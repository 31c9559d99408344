"""Adds low-rank adapters (B starts at zero) to a pre-trained MLP whose own weights stay frozen."""
import math

import torch
import torch.nn as nn
import torch.nn.functional as F


class LoRALinear(nn.Module):
    def __init__(self, base: nn.Linear, rank: int = 2, alpha: float = 4.0):
        super().__init__()
        self.base = base.requires_grad_(False)
        self.A = nn.Parameter(torch.empty(rank, base.in_features))
        self.B = nn.Parameter(torch.zeros(base.out_features, rank))
        nn.init.kaiming_uniform_(self.A, a=math.sqrt(5))
        self.scale = alpha / rank

    def forward(self, x):
        return self.base(x) + (x @ self.A.T @ self.B.T) * self.scale


class MLP(nn.Module):
    def __init__(self, d=10, h=64, out=4):
        super().__init__()
        self.fc1, self.fc2, self.fc3 = nn.Linear(d, h), nn.Linear(h, h), nn.Linear(h, out)

    def forward(self, x):
        return self.fc3(F.gelu(self.fc2(F.gelu(self.fc1(x)))))


def blobs(n, centers, g):
    y = torch.randint(0, len(centers), (n,), generator=g)
    return centers[y] + 1.2 * torch.randn(n, centers.shape[1], generator=g), y


def train(model, opt, centers, steps, g):
    losses = []
    for _ in range(steps):
        x, y = blobs(64, centers, g)
        loss = F.cross_entropy(model(x), y)
        opt.zero_grad()
        loss.backward()
        opt.step()
        losses.append(loss.item())
    return losses


def main():
    torch.manual_seed(42)
    g = torch.Generator().manual_seed(42)
    task_a = torch.randn(4, 10, generator=g)
    task_b = task_a.roll(1, 0) + 0.3 * torch.randn(4, 10, generator=g)
    model = MLP()
    pre = train(model, torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.0), task_a, 80, g)

    for name in ("fc1", "fc2", "fc3"):
        setattr(model, name, LoRALinear(getattr(model, name)))
    trainable = [p for p in model.parameters() if p.requires_grad]
    share = sum(p.numel() for p in trainable) / sum(p.numel() for p in model.parameters())
    lora = train(model, torch.optim.AdamW(trainable, lr=1e-2, weight_decay=0.0), task_b, 100, g)
    x, y = blobs(500, task_b, g)
    with torch.no_grad():
        acc = (model(x).argmax(1) == y).float().mean().item()
    print(f"pre-train {pre[0]:.4f} -> {pre[-1]:.4f}")
    print(f"LoRA ({100 * share:.1f}% of weights) {lora[0]:.4f} -> {lora[-1]:.4f}, accuracy {acc:.3f}")


main()
