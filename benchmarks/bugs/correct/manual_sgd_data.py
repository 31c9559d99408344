"""Two-layer network trained by hand: p.data updates and p.grad.data.zero_(), with no optimizer object."""
import torch

torch.manual_seed(6)
N, D_in, H, D_out = 256, 8, 24, 2
x_all = torch.randn(N, D_in)
y_all = torch.stack([x_all[:, 0] * x_all[:, 1], x_all[:, 2].abs()], dim=1)

w1 = (torch.randn(D_in, H) / D_in ** 0.5).requires_grad_()
b1 = torch.zeros(H, requires_grad=True)
w2 = (torch.randn(H, D_out) / H ** 0.5).requires_grad_()
b2 = torch.zeros(D_out, requires_grad=True)
params = [w1, b1, w2, b2]

learning_rate = 0.05
curve = []
for epoch in range(20):
    perm = torch.randperm(N)
    total = 0.0
    for start in range(0, N, 32):
        idx = perm[start:start + 32]
        x, y = x_all[idx], y_all[idx]
        y_pred = (x @ w1 + b1).clamp(min=0) @ w2 + b2
        loss = (y_pred - y).pow(2).sum(dim=1).mean()
        loss.backward()
        for p in params:
            p.data -= learning_rate * p.grad.data
            p.grad.data.zero_()
        total += loss.item()
    curve.append(total / (N // 32))

print(f"epoch 1: {curve[0]:.4f}")
print(f"epoch 20: {curve[-1]:.4f}")
