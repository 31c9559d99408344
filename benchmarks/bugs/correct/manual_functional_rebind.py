"""Functional gradient descent: autograd.grad, and weights that are rebound to fresh leaves at each step."""
import torch
import torch.nn.functional as F

torch.manual_seed(9)


def init(sizes):
    params = []
    for a, b in zip(sizes[:-1], sizes[1:]):
        params.append((torch.randn(a, b) * (2.0 / a) ** 0.5).requires_grad_())
        params.append(torch.zeros(b).requires_grad_())
    return params


def apply(params, x):
    *hidden, w, b = params
    for k in range(0, len(hidden), 2):
        x = torch.relu(x @ hidden[k] + hidden[k + 1])
    return x @ w + b


def update(params, x, y, lr):
    loss = F.cross_entropy(apply(params, x), y)
    grads = torch.autograd.grad(loss, params)
    new = [(p - lr * g).detach().requires_grad_() for p, g in zip(params, grads)]
    return new, loss.item()


centers = torch.randn(4, 6) * 2
labels = torch.randint(0, 4, (600,))
inputs = centers[labels] + torch.randn(600, 6)
inputs = (inputs - inputs[:480].mean(0)) / inputs[:480].std(0)
train_x, train_y, test_x, test_y = inputs[:480], labels[:480], inputs[480:], labels[480:]

params = init([6, 16, 4])
history = []
for epoch in range(6):
    for idx in torch.randperm(480).split(48):
        params, value = update(params, train_x[idx], train_y[idx], lr=0.2)
        history.append(value)

with torch.no_grad():
    acc = (apply(params, test_x).argmax(-1) == test_y).float().mean().item()
print(f"loss {history[0]:.4f} -> {sum(history[-10:]) / 10:.4f}  accuracy {acc:.4f}")
