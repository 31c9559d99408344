"""nn.Module trained by a hand-written loop that subtracts gradients under no_grad and calls p.grad.zero_()."""
import math

import torch

torch.manual_seed(8)
x = torch.linspace(-math.pi, math.pi, 400)
y = torch.sin(x)
powers = torch.tensor([1, 2, 3])
features = x.unsqueeze(-1).pow(powers)
features = features / features.abs().max(0).values

model = torch.nn.Sequential(torch.nn.Linear(3, 1), torch.nn.Flatten(0, 1))
loss_fn = torch.nn.MSELoss(reduction="mean")
learning_rate = 0.5

# full-batch gradient descent, as in the polynomial-fitting tutorial
values = []
for t in range(150):
    y_pred = model(features)
    loss = loss_fn(y_pred, y)
    values.append(loss.item())
    loss.backward()
    with torch.no_grad():
        for param in model.parameters():
            param -= learning_rate * param.grad
            param.grad.zero_()

linear = model[0]
print(f"loss {values[0]:.4f} {values[50]:.4f} {values[-1]:.4f}")
print(f"y = {linear.bias.item():.3f} + {linear.weight[0, 0].item():.3f} x + "
      f"{linear.weight[0, 1].item():.3f} x^2 + {linear.weight[0, 2].item():.3f} x^3 (scaled)")
