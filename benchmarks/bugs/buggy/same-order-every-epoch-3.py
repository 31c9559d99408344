"""Data-parallel-ready training of a sine regressor (works with one or more processes)."""
import os

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.data.distributed import DistributedSampler


def setup():
    os.environ.setdefault("MASTER_ADDR", "127.0.0.1")
    os.environ.setdefault("MASTER_PORT", "29533")
    dist.init_process_group("gloo", rank=int(os.environ.get("RANK", 0)), world_size=int(os.environ.get("WORLD_SIZE", 1)))


def dataset(n, seed):
    g = torch.Generator().manual_seed(seed)
    x = 6 * torch.rand(n, 1, generator=g) - 3
    return TensorDataset(x / 1.7, torch.sin(2 * x) + 0.05 * torch.randn(n, 1, generator=g))


def main(epochs=4, batch_size=32):
    setup()
    torch.manual_seed(0)
    train_set, val_set = dataset(1152, 0), dataset(256, 1)
    sampler = DistributedSampler(train_set, shuffle=True, seed=0)  # ALSO: same-order-every-epoch
    train_loader = DataLoader(train_set, batch_size=batch_size, sampler=sampler)
    val_loader = DataLoader(val_set, batch_size=256)
    model = DistributedDataParallel(nn.Sequential(
        nn.Linear(1, 48), nn.Tanh(), nn.Linear(48, 48), nn.Tanh(), nn.Linear(48, 1)))
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    loss_fn = nn.MSELoss()

    for epoch in range(epochs):
        model.train()
        for x, y in train_loader:  # BUG: same-order-every-epoch
            optimizer.zero_grad()
            loss = loss_fn(model(x), y)
            loss.backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            val = sum(loss_fn(model.module(x), y).item() for x, y in val_loader) / len(val_loader)
        if dist.get_rank() == 0:
            print(f"epoch {epoch}: train {loss.item():.4f} val {val:.4f}")
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
