"""The smallest training there is: a 2-to-1 linear regression on three points, one step."""

import torch
from torch import nn

torch.manual_seed(0)

inputs = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
targets = torch.tensor([[3.0], [7.0], [11.0]])

model = nn.Linear(2, 1)
loss_function = nn.MSELoss()
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)

optimizer.zero_grad()
loss = loss_function(model(inputs), targets)
loss.backward()
optimizer.step()

with torch.no_grad():
    after = loss_function(model(inputs), targets)
print(f"loss before the step {loss.item():.4f}, after it {after.item():.4f}")
