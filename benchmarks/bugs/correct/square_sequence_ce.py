"""Per-position classifier where sequence length equals the number of classes; logits are transposed for the loss."""
import torch
import torch.nn as nn

torch.manual_seed(56)
K = 7            # classes, and also positions: sort seven digits


def batch(n):
    perm = torch.stack([torch.randperm(K) for _ in range(n)])
    rank = perm.argsort(1).argsort(1)
    return nn.functional.one_hot(perm, K).float(), rank


model = nn.Sequential(
    nn.Linear(K, 32), nn.ReLU(),
    nn.TransformerEncoderLayer(32, 2, 64, dropout=0.0, batch_first=True),
    nn.Linear(32, K))
optimizer = torch.optim.NAdam(model.parameters(), lr=3e-3)
criterion = nn.CrossEntropyLoss()

xv, yv = batch(100)
losses = []
for step in range(100):
    x, y = batch(64)
    logits = model(x)                        # (N, T, C)
    loss = criterion(logits.permute(0, 2, 1), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())

with torch.no_grad():
    acc = (model(xv).argmax(-1) == yv).float().mean().item()
print("loss", [round(losses[i], 4) for i in (0, 30, 60, 99)], "accuracy", round(acc, 4))
