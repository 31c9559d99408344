"""Accelerate: accelerator.accumulate with a scheduler and clipping on sync steps; loaders wrapped by prepare."""
import torch
import torch.nn as nn
from accelerate import Accelerator
from accelerate.utils import set_seed
from torch.utils.data import DataLoader, TensorDataset


def loaders(batch):
    g = torch.Generator().manual_seed(3)
    x = torch.randn(1100, 8, generator=g)
    y = (x[:, :4].pow(2).sum(1) > x[:, 4:].pow(2).sum(1)).long()
    train, valid = TensorDataset(x[:900], y[:900]), TensorDataset(x[900:], y[900:])
    return DataLoader(train, batch_size=batch, shuffle=True), DataLoader(valid, batch_size=100)


def main():
    set_seed(153)
    accelerator = Accelerator(gradient_accumulation_steps=2, cpu=True)
    model = nn.Sequential(nn.Linear(8, 48), nn.ReLU(), nn.LayerNorm(48), nn.Linear(48, 2))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.0)
    train, valid = loaders(30)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=6 * len(train) // 2)
    model, optimizer, train, valid, scheduler = accelerator.prepare(model, optimizer, train, valid, scheduler)
    criterion = nn.CrossEntropyLoss()
    updates = 0
    for epoch in range(6):
        model.train()
        total = 0.0
        for x, y in train:
            with accelerator.accumulate(model):
                loss = criterion(model(x), y)
                accelerator.backward(loss)
                if accelerator.sync_gradients:
                    accelerator.clip_grad_norm_(model.parameters(), 1.0)
                    updates += 1
                optimizer.step()
                scheduler.step()
                optimizer.zero_grad()
            total += loss.item() / len(train)
        model.eval()
        hits = n = 0
        for x, y in valid:
            with torch.no_grad():
                pred = model(x).argmax(1)
            pred, y = accelerator.gather_for_metrics((pred, y))
            hits, n = hits + (pred == y).sum().item(), n + len(y)
        accelerator.print(f"epoch {epoch} loss {total:.4f} accuracy {hits / n:.4f}")
    accelerator.print("updates", updates)


if __name__ == "__main__":
    main()
