"""Pure functional training with torch.func.grad_and_value and a hand-written Adam; .grad is never used."""
import torch
import torch.nn as nn
from torch.func import functional_call, grad_and_value


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(4, 32), nn.Linear(32, 3)

    def forward(self, x):
        return self.b(torch.tanh(self.a(x)))


def adam(params, grads, state, t, lr=1e-2, b1=0.9, b2=0.999, eps=1e-8):
    out, new = {}, {}
    for k, p in params.items():
        m, v = state[k]
        m = b1 * m + (1 - b1) * grads[k]
        v = b2 * v + (1 - b2) * grads[k] ** 2
        step = lr * (m / (1 - b1 ** t)) / ((v / (1 - b2 ** t)).sqrt() + eps)
        out[k], new[k] = p - step, (m, v)
    return out, new


torch.manual_seed(177)
net = Net()
params = {k: p.detach().clone() for k, p in net.named_parameters()}
state = {k: (torch.zeros_like(p), torch.zeros_like(p)) for k, p in params.items()}


def loss_fn(params, x, y):
    return nn.functional.cross_entropy(functional_call(net, params, (x,)), y)


def label(x):
    return torch.stack([x[:, 0] * x[:, 1], x[:, 2], x[:, 3].abs() - 0.5], 1).argmax(1)


x_test = torch.randn(500, 4)
history = []
for t in range(1, 201):
    x = torch.randn(64, 4)
    grads, value = grad_and_value(loss_fn)(params, x, label(x))
    params, state = adam(params, grads, state, t)
    history.append(value.item())

with torch.no_grad():
    acc = (functional_call(net, params, (x_test,)).argmax(1) == label(x_test)).float().mean().item()
print("loss", [round(history[k], 4) for k in (0, 60, 120, 199)], "accuracy", round(acc, 4))
