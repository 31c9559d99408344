"""Lightning Fabric: a plain loop with fabric.backward, no_backward_sync accumulation and fabric.clip_gradients."""
import torch
import torch.nn as nn
from lightning.fabric import Fabric
from torch.utils.data import DataLoader, TensorDataset


def main():
    fabric = Fabric(accelerator="cpu", devices=1, precision="32-true")
    fabric.launch()
    fabric.seed_everything(193, verbose=False)
    x = torch.randn(900, 10)
    y = (x[:, :5].sum(1) * x[:, 5]).tanh()
    train = DataLoader(TensorDataset(x[:720], y[:720]), batch_size=24, shuffle=True)
    valid = DataLoader(TensorDataset(x[720:], y[720:]), batch_size=180)
    model = nn.Sequential(nn.Linear(10, 64), nn.SiLU(), nn.Linear(64, 64), nn.SiLU(), nn.Linear(64, 1), nn.Flatten(0))
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3, weight_decay=0.0)
    model, optimizer = fabric.setup(model, optimizer)
    train, valid = fabric.setup_dataloaders(train, valid)
    for epoch in range(6):
        model.train()
        total = 0.0
        for i, (xb, yb) in enumerate(train):
            accumulating = i % 2 != 1
            with fabric.no_backward_sync(model, enabled=accumulating):
                loss = nn.functional.mse_loss(model(xb), yb)
                fabric.backward(loss / 2)
            total += loss.item() / len(train)
            if not accumulating:
                fabric.clip_gradients(model, optimizer, max_norm=1.0)
                optimizer.step()
                optimizer.zero_grad()
        model.eval()
        with torch.no_grad():
            xb, yb = next(iter(valid))
            val = nn.functional.mse_loss(model(xb), yb).item()
        fabric.print(f"epoch {epoch} train {total:.4f} valid {val:.4f}")


if __name__ == "__main__":
    main()
