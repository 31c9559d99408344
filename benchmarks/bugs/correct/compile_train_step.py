"""torch.compile on a loss function (aot_eager, fullgraph) that closes over a module; eager optimizer and clipping."""
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(103)
model = nn.ModuleDict({"encode": nn.Linear(10, 24), "norm": nn.LayerNorm(24), "decode": nn.Linear(24, 10)})


def loss_function(x, noise):
    h = F.gelu(model["norm"](model["encode"](x + noise)))
    return F.mse_loss(model["decode"](h), x)


compiled_loss = torch.compile(loss_function, backend="aot_eager", fullgraph=True)
opt = torch.optim.SGD(model.parameters(), lr=0.3, momentum=0.9)
mix = torch.randn(4, 10)
valid = torch.randn(128, 4) @ mix
nothing = torch.zeros(128, 10)

with torch.no_grad():
    before = loss_function(valid, nothing).item()
trace = []
for step in range(100):
    x = torch.randn(64, 4) @ mix
    loss = compiled_loss(x, 0.1 * torch.randn_like(x))
    opt.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    opt.step()
    trace.append(loss.item())
with torch.no_grad():
    after = loss_function(valid, nothing).item()
print("loss", [round(trace[k], 4) for k in (0, 50, 99)], f"valid {before:.4f} -> {after:.4f}")
