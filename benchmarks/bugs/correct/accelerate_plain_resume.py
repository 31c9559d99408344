"""Accelerate loop with save_state at an epoch's end and load_state into new objects, which then train on."""
import tempfile

import torch
import torch.nn as nn
from accelerate import Accelerator
from accelerate.utils import set_seed
from torch.utils.data import DataLoader, TensorDataset


def setup():
    set_seed(154)
    accelerator = Accelerator(cpu=True)
    x = torch.rand(600, 2) * 4 - 2
    y = torch.sin(x[:, :1]) * torch.cos(x[:, 1:])
    model = nn.Sequential(nn.Linear(2, 32), nn.Tanh(), nn.Linear(32, 1))
    opt = torch.optim.Adam(model.parameters(), lr=1e-2)
    loader = DataLoader(TensorDataset(x[:500], y[:500]), batch_size=25, shuffle=True)
    model, opt, loader = accelerator.prepare(model, opt, loader)
    return accelerator, model, opt, loader, (x[500:], y[500:])


def train(accelerator, model, opt, batches):
    out = []
    for x, y in batches:
        opt.zero_grad()
        loss = nn.functional.mse_loss(model(x), y)
        accelerator.backward(loss)
        opt.step()
        out.append(loss.item())
    return out


with tempfile.TemporaryDirectory() as folder:
    accelerator, model, opt, loader, _ = setup()
    a = []
    for epoch in range(3):
        a += train(accelerator, model, opt, loader)
    accelerator.save_state(folder)
    accelerator.free_memory()

    accelerator, model, opt, loader, (xv, yv) = setup()
    accelerator.load_state(folder)
    b = []
    for epoch in range(3, 6):
        b += train(accelerator, model, opt, loader)

model.eval()
with torch.no_grad():
    v = nn.functional.mse_loss(model(xv), yv).item()
print(f"first part {a[0]:.4f} -> {sum(a[-10:]) / 10:.4f} ({len(a)} updates)")
print(f"second part {b[0]:.4f} -> {sum(b[-10:]) / 10:.4f} ({len(b)} updates), valid {v:.4f}")
