"""Hand-written data parallelism: gradients are averaged with all_reduce, no DDP wrapper."""
import argparse

import torch
import torch.distributed as dist
import torch.nn as nn
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.data.distributed import DistributedSampler


def average_gradients(model):
    size = float(dist.get_world_size())
    for param in model.parameters():
        dist.all_reduce(param.grad, op=dist.ReduceOp.SUM)
        param.grad /= size


def surface(n, seed):
    g = torch.Generator().manual_seed(seed)
    xy = 4 * torch.rand(n, 2, generator=g) - 2
    z = torch.sin(xy[:, :1]) * torch.cos(2 * xy[:, 1:]) + 0.05 * torch.randn(n, 1, generator=g)
    return TensorDataset(xy, z)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--lr", type=float, default=5e-3)
    parser.add_argument("--seed", type=int, default=100)
    args = parser.parse_args()

    dist.init_process_group("gloo")
    rank, size = dist.get_rank(), dist.get_world_size()
    torch.manual_seed(args.seed + rank)                  # different noise on every rank  # ALSO: diverged-ranks
    train_set, val_set = surface(1920, 0), surface(300, 1)
    sampler = DistributedSampler(train_set, size, rank)
    loader = DataLoader(train_set, batch_size=args.batch_size, sampler=sampler)
    val_loader = DataLoader(val_set, batch_size=300)

    model = nn.Sequential(nn.Linear(2, 48), nn.Tanh(), nn.Linear(48, 48), nn.Tanh(), nn.Linear(48, 1))  # ALSO: diverged-ranks
    optimizer = torch.optim.Adam(model.parameters(), lr=args.lr)
    criterion = nn.MSELoss()
    for epoch in range(args.epochs):
        sampler.set_epoch(epoch)
        model.train()
        for xy, z in loader:
            xy = xy + 0.01 * torch.randn_like(xy)
            optimizer.zero_grad()
            loss = criterion(model(xy), z)
            loss.backward()
            average_gradients(model)
            optimizer.step()  # BUG: diverged-ranks
        model.eval()
        with torch.no_grad():
            val = sum(criterion(model(x), z).item() for x, z in val_loader)
        if rank == 0:
            print(f"Rank {rank}, epoch {epoch}: train {loss.item():.4f} val {val:.4f}")
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
