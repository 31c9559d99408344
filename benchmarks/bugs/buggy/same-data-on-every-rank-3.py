"""Multi-process autoencoder training with an explicit sampler, configured by arguments."""
import argparse

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, DistributedSampler


def get_args():
    p = argparse.ArgumentParser()
    p.add_argument("--epochs", type=int, default=4)
    p.add_argument("--batch-size", type=int, default=32)
    p.add_argument("--lr", type=float, default=3e-3)
    p.add_argument("--num-replicas", type=int, default=1)
    p.add_argument("--rank", type=int, default=0)
    return p.parse_args()


def rows(n, seed):
    g = torch.Generator().manual_seed(seed)
    mix = torch.randn(4, 20, generator=torch.Generator().manual_seed(50)) / 2
    return torch.tanh(torch.randn(n, 4, generator=g) @ mix) + 0.05 * torch.randn(n, 20, generator=g)


class AE(nn.Module):
    def __init__(self):
        super().__init__()
        self.enc = nn.Sequential(nn.Linear(20, 32), nn.Tanh(), nn.Linear(32, 4))
        self.dec = nn.Sequential(nn.Linear(4, 32), nn.Tanh(), nn.Linear(32, 20))

    def forward(self, x):
        return self.dec(self.enc(x))


def main():
    args = get_args()
    dist.init_process_group("gloo")
    torch.manual_seed(7)
    train_set, val_set = rows(1120, 0), rows(256, 1)
    sampler = DistributedSampler(train_set, num_replicas=args.num_replicas, rank=args.rank, shuffle=True)  # BUG: same-data-on-every-rank
    loader = DataLoader(train_set, batch_size=args.batch_size, sampler=sampler)
    val_loader = DataLoader(val_set, batch_size=256)
    model = DistributedDataParallel(AE())
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr)
    for epoch in range(args.epochs):
        sampler.set_epoch(epoch)
        model.train()
        for x in loader:  # ALSO: same-data-on-every-rank
            loss = F.mse_loss(model(x), x)  # ALSO: same-data-on-every-rank
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            val = sum(F.mse_loss(model(x), x).item() for x in val_loader)
        if dist.get_rank() == 0:
            print(f"epoch {epoch}: train {loss.item():.4f} val {val:.4f}")
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
