"""Accelerate: spiral classification with a per-step cosine schedule."""
import math

import torch
import torch.nn as nn
from accelerate import Accelerator
from torch.utils.data import DataLoader, TensorDataset


def spirals(n, g):
    y = torch.randint(0, 3, (n,), generator=g)
    r = torch.rand(n, generator=g)
    a = 4 * r + y * (2 * math.pi / 3) + 0.1 * torch.randn(n, generator=g)
    return TensorDataset(2 * torch.stack([r * a.cos(), r * a.sin()], 1), y)


def main():
    torch.manual_seed(0)
    accelerator = Accelerator(cpu=True)
    g = torch.Generator().manual_seed(0)
    train_dl = DataLoader(spirals(1280, g), batch_size=40, shuffle=True)
    val_dl = DataLoader(spirals(400, g), batch_size=200)
    epochs = 4
    model = nn.Sequential(nn.Linear(2, 48), nn.ReLU(), nn.Linear(48, 48), nn.ReLU(), nn.Linear(48, 3))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    model, optimizer, train_dl, val_dl = accelerator.prepare(model, optimizer, train_dl, val_dl)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer.optimizer, T_max=epochs * len(train_dl))
    loss_fn = nn.CrossEntropyLoss()

    for epoch in range(epochs):
        model.train()
        for x, y in train_dl:
            optimizer.zero_grad()
            loss = loss_fn(model(x), y)
            accelerator.backward(loss)
            scheduler.step()  # BUG: scheduler-before-optimizer
            optimizer.step()  # ALSO: scheduler-before-optimizer
        model.eval()
        hits = 0
        for x, y in val_dl:
            with torch.no_grad():
                pred = model(x).argmax(1)
            pred, y = accelerator.gather_for_metrics((pred, y))
            hits += (pred == y).sum().item()
        accelerator.print(f"epoch {epoch}: loss {loss.item():.4f} acc {hits / 400:.3f}")


if __name__ == "__main__":
    main()
