"""A script that instruments torch itself: wraps Optimizer.step, registers global hooks, and counts ops with its own mode."""
import functools

import torch
import torch.nn as nn
from torch.overrides import TorchFunctionMode

counts = {"step": 0, "backward": 0, "forward": 0, "functions": 0}

original_step = torch.optim.SGD.step
original_backward = torch.Tensor.backward


@functools.wraps(original_step)
def counted_step(self, *args, **kwargs):
    counts["step"] += 1
    return original_step(self, *args, **kwargs)


@functools.wraps(original_backward)
def counted_backward(self, *args, **kwargs):
    counts["backward"] += 1
    return original_backward(self, *args, **kwargs)


torch.optim.SGD.step = counted_step
torch.Tensor.backward = counted_backward
handle = nn.modules.module.register_module_forward_hook(lambda m, i, o: counts.__setitem__("forward", counts["forward"] + 1))


class CountFunctions(TorchFunctionMode):
    def __torch_function__(self, func, types, args=(), kwargs=None):
        counts["functions"] += 1
        return func(*args, **(kwargs or {}))


torch.manual_seed(187)
net = nn.Sequential(nn.Linear(3, 16), nn.Tanh(), nn.Linear(16, 1))
opt = torch.optim.SGD(net.parameters(), lr=0.2)
losses = []
for step in range(100):
    x = torch.randn(32, 3)
    if step == 50:
        with CountFunctions():
            loss = nn.functional.mse_loss(net(x), x[:, :1] * 0.5 + x[:, 1:2].abs())
    else:
        loss = nn.functional.mse_loss(net(x), x[:, :1] * 0.5 + x[:, 1:2].abs())
    opt.zero_grad()
    loss.backward()
    opt.step()
    losses.append(loss.item())

handle.remove()
torch.optim.SGD.step = original_step
torch.Tensor.backward = original_backward
print("loss", [round(losses[k], 4) for k in (0, 50, 99)])
print({k: v for k, v in counts.items() if k != "functions"}, "functions seen:", counts["functions"] > 0)
