"""Hogwild: two threads train replicas that share parameter storage but own their gradients and optimizers, without a lock."""
import threading

import torch
import torch.nn as nn

torch.set_num_threads(1)
torch.manual_seed(104)
W = torch.tensor([[1.0, -2.0, 0.5, 3.0]])
shared = nn.Linear(4, 1)
with torch.no_grad():
    start = (shared.weight - W).abs().max().item()


def replica():
    twin = nn.Linear(4, 1)
    for mine, ours in zip(twin.parameters(), shared.parameters()):
        mine.data = ours.data              # same storage, separate .grad
    return twin


def worker(rank, steps, final):
    g = torch.Generator().manual_seed(rank)
    net = replica()
    opt = torch.optim.SGD(net.parameters(), lr=0.05)
    loss = None
    for _ in range(steps):
        x = torch.randn(32, 4, generator=g)
        loss = nn.functional.mse_loss(net(x), x @ W.T + 0.7)
        opt.zero_grad()
        loss.backward()
        opt.step()
    final[rank] = loss.item()


final = {}
threads = [threading.Thread(target=worker, args=(rank, 200, final)) for rank in range(2)]
for t in threads:
    t.start()
for t in threads:
    t.join()
# the noiseless problem has one solution, so that the order of the updates does not show
print(f"error before {start:.3f}")
print("weight", [round(v, 3) for v in shared.weight.flatten().tolist()], "bias", round(shared.bias.item(), 3))
print("losses below 1e-6:", all(v < 1e-6 for v in final.values()))
