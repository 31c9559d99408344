"""Regress the yield of a simulated chemical process with a small residual MLP."""
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(5)
MAX_NORM = 1.0


class ResidualMLP(nn.Module):
    def __init__(self, d_in, width=48, depth=2):
        super().__init__()
        self.stem = nn.Linear(d_in, width)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.GELU(), nn.Linear(width, width))
            for _ in range(depth)
        )
        self.head = nn.Linear(width, 1)

    def forward(self, x):
        h = self.stem(x)
        for block in self.blocks:
            h = h + block(h)
        return self.head(h)


def simulate(n):
    x = torch.rand(n, 6) * 2 - 1
    y = torch.exp(-x[:, :1] ** 2) * torch.cos(3 * x[:, 1:2]) + x[:, 2:3] * x[:, 3:4] + 0.3 * x[:, 4:5]
    return x, y + 0.02 * torch.randn(n, 1)


x_train, y_train = simulate(1600)
x_val, y_val = simulate(400)
mean, std = y_train.mean(), y_train.std()
y_train, y_val = (y_train - mean) / std, (y_val - mean) / std

model = ResidualMLP(6)
params = [p for p in model.parameters() if p.requires_grad]
optimizer = torch.optim.Adam(params, lr=1e-3)

for epoch in range(5):
    model.train()
    order = torch.randperm(len(x_train))
    losses, norms = [], []
    for idx in order.split(64):
        loss = F.mse_loss(model(x_train[idx]), y_train[idx])
        grads = torch.autograd.grad(loss, params)
        norm = torch.sqrt(sum(g.pow(2).sum() for g in grads))
        if norm > MAX_NORM:
            grads = [g * (MAX_NORM / norm) for g in grads]
        optimizer.step()  # BUG: step-without-gradients
        losses.append(loss.item())
        norms.append(norm.item())
    model.eval()
    with torch.no_grad():
        val = F.mse_loss(model(x_val), y_val).item()
    print(f"epoch {epoch + 1}: train {sum(losses) / len(losses):.4f} "
          f"grad norm {sum(norms) / len(norms):.3f} val {val:.4f}")
