"""A 3-4-2 network with softmax on the one sample (0.5, 1.0, -1.5): one forward pass, or training.

``--epochs 5`` trains it to answer class 1. The network returns logits: cross-entropy wants them,
and softmax turns them into probabilities where one wants to read them.
"""

import argparse

import torch
from torch import nn

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--epochs", type=int, default=0, help="0: only look at one forward pass")
arguments = parser.parse_args()

torch.manual_seed(0)
sample = torch.tensor([[0.5, 1.0, -1.5]])
target = torch.tensor([1])

network = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
softmax = nn.Softmax(dim=1)

if arguments.epochs == 0:
    probabilities = softmax(network(sample))
    print(f"probabilities {probabilities.tolist()[0]}")

loss_function = nn.CrossEntropyLoss()
optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
for epoch in range(arguments.epochs):
    loss = loss_function(network(sample), target)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(f"epoch {epoch + 1}: loss {loss.item():.4f}")
