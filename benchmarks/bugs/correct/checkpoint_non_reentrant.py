"""Residual tower with activation checkpointing (use_reentrant=False), dropout and batch norm inside the segments."""
import torch
import torch.nn as nn
from torch.utils.checkpoint import checkpoint


class Block(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.norm, self.fc1, self.drop, self.fc2 = nn.BatchNorm1d(d), nn.Linear(d, 2 * d), nn.Dropout(0.1), nn.Linear(2 * d, d)

    def forward(self, x):
        return x + self.fc2(self.drop(torch.relu(self.fc1(self.norm(x)))))


class Tower(nn.Module):
    def __init__(self, depth=4, d=32):
        super().__init__()
        self.inp = nn.Linear(5, d)
        self.blocks = nn.ModuleList(Block(d) for _ in range(depth))
        self.out = nn.Linear(d, 1)

    def forward(self, x):
        h = self.inp(x)
        for block in self.blocks:
            h = checkpoint(block, h, use_reentrant=False) if self.training else block(h)
        return self.out(h).squeeze(-1)


def truth(x):
    return x[:, 0] * x[:, 1] + torch.cos(2 * x[:, 2])


torch.manual_seed(99)
x_train, x_val = torch.randn(600, 5), torch.randn(200, 5)
net = Tower()
opt = torch.optim.AdamW(net.parameters(), lr=4e-3, weight_decay=0.0)
for epoch in range(6):
    net.train()
    total = 0.0
    for idx in torch.randperm(600).split(50):
        loss = nn.functional.mse_loss(net(x_train[idx]), truth(x_train[idx]))
        opt.zero_grad()
        loss.backward()
        opt.step()
        total += loss.item() / 12
    net.eval()
    with torch.no_grad():
        val = nn.functional.mse_loss(net(x_val), truth(x_val)).item()
    print(f"epoch {epoch} train {total:.4f} valid {val:.4f} batches seen by the norm {int(net.blocks[0].norm.num_batches_tracked)}")
