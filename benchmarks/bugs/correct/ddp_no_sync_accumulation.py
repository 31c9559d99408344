"""DDP gradient accumulation: all but the last micro-batch of a window run under no_sync; clipping after the reduction."""
import contextlib
import gc

import torch
import torch.distributed as dist
import torch.nn as nn
from torch.nn.parallel import DistributedDataParallel

ACCUM, STEPS, MICRO = 3, 80, 16


def target(x):
    return torch.sin(2 * x[:, :1]) + 0.3 * x[:, 1:2]


def train(rank):
    torch.manual_seed(161)
    model = DistributedDataParallel(nn.Sequential(nn.Linear(3, 32), nn.Tanh(), nn.Linear(32, 1)))
    opt = torch.optim.AdamW(model.parameters(), lr=2e-2, weight_decay=0.0)
    rng = torch.Generator().manual_seed(1000 + rank)          # each rank draws its own samples
    history = []
    for _ in range(STEPS):
        window = torch.zeros(())
        for k in range(ACCUM):
            x = torch.randn(MICRO, 3, generator=rng)
            sync = contextlib.nullcontext() if k == ACCUM - 1 else model.no_sync()
            with sync:
                loss = nn.functional.mse_loss(model(x), target(x)) / ACCUM
                loss.backward()
            window += loss.detach()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        opt.step()
        opt.zero_grad()
        dist.all_reduce(window, op=dist.ReduceOp.SUM)
        history.append(window.item() / dist.get_world_size())
    return model, history


def report(model, history):
    check = sum(p.detach().double().sum() for p in model.parameters())
    low, high = check.clone(), check.clone()
    dist.all_reduce(low, op=dist.ReduceOp.MIN)
    dist.all_reduce(high, op=dist.ReduceOp.MAX)
    if dist.get_rank() == 0:
        x = torch.randn(300, 3, generator=torch.Generator().manual_seed(9))
        with torch.no_grad():
            v = nn.functional.mse_loss(model.module(x), target(x)).item()
        print("loss", [round(history[k], 4) for k in (0, 26, 53, 79)], "valid", round(v, 4))
        print("ranks agree:", bool(low == high))


if __name__ == "__main__":
    dist.init_process_group("gloo")
    report(*train(dist.get_rank()))
    gc.collect()                     # the reducer goes before the process group that it uses
    dist.barrier()
    dist.destroy_process_group()
