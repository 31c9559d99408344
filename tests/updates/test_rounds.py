"""Updates of several forwards or backwards in one round or another."""

from __future__ import annotations

HEAD = """
import torch
from torch import nn
torch.manual_seed(0)
model = nn.Linear(3, 1)
x, y = torch.randn(8, 3), torch.randn(8, 1)
mse = nn.functional.mse_loss
"""


def test_truncated_backpropagation_through_time(play):
    played = play(
        """
import torch
from torch import nn
torch.manual_seed(0)
cell, head = nn.LSTMCell(2, 4), nn.Linear(4, 1)
optimizer = torch.optim.SGD([*cell.parameters(), *head.parameters()], lr=0.1)
h = c = torch.zeros(3, 4)
for chunk in range(3):
    h, c = h.detach(), c.detach()
    optimizer.zero_grad()  # clear
    total = 0.0
    for t in range(2):
        h, c = cell(torch.randn(3, 2), (h, c))  # cell
        total = total + head(h).pow(2).mean()  # head
    total.backward()  # backward
    optimizer.step()  # step
"""
    )
    steps = " ".join(["forward@cell forward@head"] * 2)
    assert played.told() == [f"step optimizer 1: clear {steps} backward step"] * 3


def test_several_losses_with_several_backwards(play):
    played = play(
        HEAD
        + """
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for _ in range(2):
    optimizer.zero_grad()  # clear
    output = model(x)  # forward
    one = mse(output, y)  # one
    two = output.abs().mean()
    one.backward(retain_graph=True)  # backward-one
    two.backward()  # backward-two
    optimizer.step()  # step
"""
    )
    assert (
        played.told()
        == ["step optimizer 2: clear forward loss@one backward@backward-one backward@backward-two step"] * 2
    )
