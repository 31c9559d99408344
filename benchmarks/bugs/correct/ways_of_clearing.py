"""Trains with a different way of clearing the gradients in each update; all of them are in real use somewhere."""
import torch
import torch.nn as nn

torch.manual_seed(170)
model = nn.Sequential(nn.Linear(6, 24), nn.Tanh(), nn.Linear(24, 1))
params = list(model.parameters())
opt = torch.optim.SGD(params, lr=0.1)


def detach_and_zero():
    for p in params:
        p.grad.detach_()
        p.grad.zero_()


def data_zero():
    for p in params:
        p.grad.data.zero_()


def data_fill():
    for p in params:
        p.grad.data.fill_(0)


def to_none():
    for p in params:
        p.grad = None


def fresh_zeros():
    for p in params:
        p.grad = torch.zeros_like(p)


def delete():
    for p in params:
        del p.grad


def times_zero():
    for p in params:
        p.grad.mul_(0.0)


def foreach():
    torch._foreach_zero_([p.grad for p in params])


def by_group():
    for group in opt.param_groups:
        for p in group["params"]:
            p.grad.copy_(torch.zeros(1))


WAYS = [opt.zero_grad, model.zero_grad, lambda: opt.zero_grad(set_to_none=False), detach_and_zero, data_zero,
        data_fill, to_none, fresh_zeros, delete, times_zero, foreach, by_group]

losses = []
for step in range(180):
    x = torch.randn(64, 6)
    loss = (model(x).squeeze(1) - (x[:, 0] - x[:, 1] * x[:, 2])).pow(2).mean()
    loss.backward()
    opt.step()
    WAYS[step % len(WAYS)]()
    losses.append(loss.item())
print("loss", [round(sum(losses[k:k + 12]) / 12, 4) for k in (0, 60, 120, 168)])
