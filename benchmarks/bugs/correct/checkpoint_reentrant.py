"""Reentrant checkpointing by checkpoint_sequential; the embedding's output requires grad, so all blocks get gradients."""
import torch
import torch.nn as nn
from torch.utils.checkpoint import checkpoint, checkpoint_sequential

torch.manual_seed(100)
VOCAB, LENGTH = 8, 6
embed = nn.Embedding(VOCAB, 12)
mixer = nn.Sequential(nn.Flatten(), nn.Linear(12 * LENGTH, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 32))
head = nn.Sequential(nn.ReLU(), nn.Linear(32, VOCAB))
parameters = [p for m in (embed, mixer, head) for p in m.parameters()]
opt = torch.optim.Adam(parameters, lr=5e-3)


def batch(n):
    """Which symbol is the largest?"""
    x = torch.randint(0, VOCAB, (n, LENGTH))
    return x, x.max(1).values


def forward(x, training):
    h = embed(x)
    if not training:
        return head(mixer(h))
    h = checkpoint_sequential(mixer, 2, h, use_reentrant=True)
    return checkpoint(head, h, use_reentrant=True)


losses = []
for step in range(150):
    x, y = batch(64)
    loss = nn.functional.cross_entropy(forward(x, True), y)
    opt.zero_grad()
    loss.backward()
    assert all(p.grad is not None for p in parameters)
    opt.step()
    losses.append(loss.item())
with torch.no_grad():
    x, y = batch(500)
    acc = (forward(x, False).argmax(1) == y).float().mean().item()
print("loss", [round(losses[k], 4) for k in (0, 50, 100, 149)], "accuracy", round(acc, 4))
