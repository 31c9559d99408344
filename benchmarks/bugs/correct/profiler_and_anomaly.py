"""A debugging run: a few steps under anomaly detection, a few under the profiler, a FLOP count, then plain training."""
import contextlib
import os
import warnings

os.environ.setdefault("KINETO_LOG_LEVEL", "99")      # must be set before torch is imported
import torch
import torch.nn as nn
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

torch.manual_seed(189)
net = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 1))
opt = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9, nesterov=True)


def train_step():
    x = torch.randn(64, 8)
    loss = nn.functional.huber_loss(net(x), x[:, :1] * x[:, 1:2])
    opt.zero_grad()
    loss.backward()
    opt.step()
    return loss.item()


losses = []
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    with torch.autograd.detect_anomaly():
        losses.append(train_step())

with contextlib.ExitStack() as stack:
    prof = stack.enter_context(profile(activities=[ProfilerActivity.CPU]))
    for _ in range(3):
        losses.append(train_step())

with FlopCounterMode(display=False) as flops:
    losses.append(train_step())

for _ in range(250):
    losses.append(train_step())

addmm = sum(e.count for e in prof.key_averages() if e.key == "aten::addmm")
print("loss", [round(sum(losses[k:k + 5]) / 5, 4) for k in (0, 100, 250)])
print("addmm calls in three steps", addmm, "flops of a step", flops.get_total_flops())
