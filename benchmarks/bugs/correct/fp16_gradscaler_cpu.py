"""float16 autocast with GradScaler on CPU: unscale_ before clipping; an oversized first scale makes the first steps skip."""
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(95)
device = "cpu"


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.inp, self.mid, self.out = nn.Linear(10, 64), nn.Linear(64, 64), nn.Linear(64, 4)

    def forward(self, x):
        h = F.gelu(self.inp(x))
        return self.out(F.gelu(self.mid(h)) + h)


centres = 1.5 * torch.randn(4, 10)


def batch(n):
    y = torch.randint(0, 4, (n,))
    return centres[y] + torch.randn(n, 10), y


net = Net().to(device)
optimizer = torch.optim.AdamW(net.parameters(), lr=3e-3, weight_decay=0.0)
scaler = torch.amp.GradScaler(device, init_scale=2.0 ** 22, growth_interval=40)
xv, yv = batch(400)
losses, scales, norms = [], [], []
for step in range(120):
    x, y = batch(64)
    with torch.autocast(device, dtype=torch.float16):
        loss = F.cross_entropy(net(x), y)
    scaler.scale(loss).backward()
    scaler.unscale_(optimizer)
    norm = nn.utils.clip_grad_norm_(net.parameters(), 1.0)
    scaler.step(optimizer)
    scaler.update()
    optimizer.zero_grad()
    losses.append(loss.item())
    scales.append(scaler.get_scale())
    norms.append(norm.item())

net.eval()
with torch.no_grad():
    acc = (net(xv).argmax(1) == yv).float().mean().item()
print("loss", [round(losses[k], 3) for k in (0, 10, 60, 119)], "acc", round(acc, 3))
print("scale settled below its start:", min(scales) < 2.0 ** 22, "skipped:", sum(n == float("inf") or n != n for n in norms) > 0)
