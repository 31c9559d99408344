"""Ten small models train as one: stacked parameters are plain leaf tensors, called through torch.func.vmap."""
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.func import functional_call, stack_module_state, vmap

torch.manual_seed(112)


def make():
    return nn.Sequential(nn.Linear(1, 32), nn.Tanh(), nn.Linear(32, 1))


models = [make() for _ in range(10)]
params, buffers = stack_module_state(models)
skeleton = make().to("meta")


def forward(p, b, x):
    return functional_call(skeleton, (p, b), (x,))


f = lambda x: torch.sin(3 * x) * x
x_train = torch.cat([torch.rand(60, 1) * 1.2 - 1.5, torch.rand(60, 1) * 1.2 + 0.3])
y_train = f(x_train) + 0.05 * torch.randn_like(x_train)
opt = torch.optim.Adam(params.values(), lr=1e-2)
trace = []
for step in range(200):
    idx = torch.stack([torch.randperm(120)[:30] for _ in models])      # another batch for each member
    pred = vmap(forward)(params, buffers, x_train[idx])
    per_model = (pred - y_train[idx]).pow(2).mean((1, 2))
    loss = per_model.sum()                                  # members do not interact
    opt.zero_grad()
    loss.backward()
    opt.step()
    trace.append(per_model.mean().item())

grid = torch.linspace(-1.4, 1.4, 60).unsqueeze(1)
with torch.no_grad():
    out = vmap(forward, in_dims=(0, 0, None))(params, buffers, grid)
mse = F.mse_loss(out.mean(0), f(grid)).item()
print("mean member loss", [round(trace[k], 4) for k in (0, 60, 120, 199)])
print(f"ensemble mse {mse:.4f}, disagreement {out.std(0).mean().item():.4f}")
