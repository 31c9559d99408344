"""Keeps activations off the device with save_on_cpu and packs the rest to half size with saved_tensors_hooks."""
import torch
import torch.nn as nn
from torch.autograd.graph import save_on_cpu, saved_tensors_hooks

counter = {"packed": 0, "unpacked": 0}


def pack(t):
    counter["packed"] += 1
    return (t.dtype, t.to(torch.bfloat16)) if t.is_floating_point() and t.numel() > 256 else (None, t)


def unpack(saved):
    counter["unpacked"] += 1
    dtype, t = saved
    return t if dtype is None else t.to(dtype)


class AutoEncoder(nn.Module):
    def __init__(self, d=30, code=5):
        super().__init__()
        self.enc = nn.Sequential(nn.Linear(d, 48), nn.GELU(), nn.Linear(48, code))
        self.dec = nn.Sequential(nn.Linear(code, 48), nn.GELU(), nn.Linear(48, d))

    def forward(self, x):
        with save_on_cpu(pin_memory=False):
            z = self.enc(x)
        with saved_tensors_hooks(pack, unpack):
            return self.dec(z)


def main():
    torch.manual_seed(101)
    basis = torch.randn(5, 30) / 5 ** 0.5
    draw = lambda n: torch.tanh(torch.randn(n, 5)) @ basis
    net = AutoEncoder()
    opt = torch.optim.Adam(net.parameters(), lr=5e-3)
    valid = draw(200)
    trace = []
    for step in range(120):
        x = draw(64)
        loss = nn.functional.mse_loss(net(x), x)
        opt.zero_grad()
        loss.backward()
        opt.step()
        trace.append(loss.item())
    with torch.no_grad():
        v = nn.functional.mse_loss(net(valid), valid).item()
    print("loss", [round(trace[k], 4) for k in (0, 40, 80, 119)], "valid", round(v, 4))
    print("packed == unpacked:", counter["packed"] == counter["unpacked"], "packs", counter["packed"])


main()
