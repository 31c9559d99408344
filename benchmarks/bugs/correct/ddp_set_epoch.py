"""DistributedDataParallel on gloo with DistributedSampler.set_epoch; rank 0 evaluates through .module."""
import gc
import os

import torch
import torch.distributed as dist
import torch.nn as nn
from torch.nn.parallel import DistributedDataParallel as DDP
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.data.distributed import DistributedSampler


def data():
    g = torch.Generator().manual_seed(0)
    x = torch.randn(1000, 6, generator=g)
    y = (x[:, 0] * x[:, 1] + x[:, 2] > 0).long()
    return TensorDataset(x[:800], y[:800]), x[800:], y[800:]


def main():
    rank, world = dist.get_rank(), dist.get_world_size()
    torch.manual_seed(160)                      # same start on every rank; DDP broadcasts anyway
    train, xt, yt = data()
    sampler = DistributedSampler(train, shuffle=True, seed=1)
    loader = DataLoader(train, batch_size=25, sampler=sampler)
    net = nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, 2))
    model = DDP(net)
    opt = torch.optim.Adam(model.parameters(), lr=1e-2)
    report = []
    for epoch in range(4):
        sampler.set_epoch(epoch)
        model.train()
        total = torch.zeros(())
        for x, y in loader:
            opt.zero_grad()
            loss = nn.functional.cross_entropy(model(x), y)
            loss.backward()
            opt.step()
            total += loss.detach() / len(loader)
        dist.all_reduce(total)
        if rank == 0:
            model.module.eval()
            with torch.no_grad():
                acc = (model.module(xt).argmax(1) == yt).float().mean().item()
            report.append(f"epoch {epoch} loss {total.item() / world:.4f} accuracy {acc:.4f}")
        dist.barrier()
    weight = torch.cat([p.detach().flatten() for p in net.parameters()])
    other = [torch.empty_like(weight) for _ in range(world)]
    dist.all_gather(other, weight)
    if rank == 0:
        print("\n".join(report))
        print("ranks agree:", all(torch.equal(o, weight) for o in other), "world", os.environ["WORLD_SIZE"])


if __name__ == "__main__":
    dist.init_process_group("gloo")
    main()
    gc.collect()                     # the reducer goes before the process group that it uses
    dist.barrier()
    dist.destroy_process_group()
