"""BitFit: after pre-training, only the bias vectors and layer norms are tuned for shifted inputs."""
import torch
from torch import nn

torch.manual_seed(45)
W = torch.randn(8, 3)


def sample(n, shift):
    x = torch.randn(n, 8)
    return x + shift, (x @ W).argmax(1)


net = nn.Sequential(nn.Linear(8, 48), nn.LayerNorm(48), nn.ReLU(), nn.Linear(48, 48), nn.LayerNorm(48), nn.ReLU(), nn.Linear(48, 3))
criterion = nn.CrossEntropyLoss()


def loop(params, shift, steps, lr):
    optimizer = torch.optim.Adam(params, lr=lr)
    track = []
    for _ in range(steps):
        x, y = sample(64, shift)
        loss = criterion(net(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        track.append(loss.item())
    return track


base = loop(net.parameters(), 0.0, 80, 5e-3)
shift = 1.2 * torch.randn(8)
for name, p in net.named_parameters():
    p.requires_grad_(p.ndim == 1)
tuned = loop([p for p in net.parameters() if p.requires_grad], shift, 100, 2e-2)

x, y = sample(1000, shift)
with torch.no_grad():
    acc = (net(x).argmax(1) == y).float().mean().item()
print(f"base {base[0]:.4f} -> {base[-1]:.4f}")
print(f"biases {sum(tuned[:5]) / 5:.4f} -> {sum(tuned[-5:]) / 5:.4f} accuracy {acc:.3f}")
