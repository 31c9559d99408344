"""MAML on sine regression: inner steps by autograd.grad with create_graph, outer step by Adam."""
import argparse
import math

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.func import functional_call


def task(g):
    amp = 0.5 + 2 * torch.rand(1, generator=g)
    phase = math.pi * torch.rand(1, generator=g)

    def draw(n):
        x = torch.rand(n, 1, generator=g) * 4 - 2
        return x, amp * torch.sin(2 * x + phase)

    return draw


def adapt(net, params, x, y, lr, steps):
    for _ in range(steps):
        loss = F.mse_loss(functional_call(net, params, (x,)), y)
        grads = torch.autograd.grad(loss, tuple(params.values()), create_graph=True)
        params = {k: p - lr * g for (k, p), g in zip(params.items(), grads)}
    return params


def post_adaptation_error(net, tasks, lr):
    errors = []
    for support, query in tasks:
        params = {k: v.detach().requires_grad_() for k, v in net.named_parameters()}
        fast = adapt(net, params, *support, lr, 1)
        with torch.no_grad():
            errors.append(F.mse_loss(functional_call(net, fast, (query[0],)), query[1]).item())
    return sum(errors) / len(errors)


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--inner-lr", type=float, default=0.1)
    ap.add_argument("--meta-steps", type=int, default=160)
    args = ap.parse_args()
    torch.manual_seed(67)
    g = torch.Generator().manual_seed(67)
    net = nn.Sequential(nn.Linear(1, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 1))
    meta = torch.optim.Adam(net.parameters(), lr=5e-3)
    test = [(t(10), t(30)) for t in (task(g) for _ in range(20))]
    print(f"after one inner step, untrained: {post_adaptation_error(net, test, args.inner_lr):.4f}")
    for step in range(args.meta_steps):
        meta.zero_grad()
        meta_loss = 0.0
        for _ in range(4):
            draw = task(g)
            fast = adapt(net, dict(net.named_parameters()), *draw(10), args.inner_lr, 1)
            xq, yq = draw(10)
            meta_loss = meta_loss + F.mse_loss(functional_call(net, fast, (xq,)), yq)
        meta_loss = meta_loss / 4
        meta_loss.backward()
        meta.step()
    print(f"after one inner step, meta-trained: {post_adaptation_error(net, test, args.inner_lr):.4f}")


if __name__ == "__main__":
    main()
