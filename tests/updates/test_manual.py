"""Training without an optimizer object: an update ends where the next round's forward begins."""

from __future__ import annotations

import pytest

MODEL = """
import torch
from torch import nn
torch.manual_seed(0)
model = nn.Linear(3, 1)
x, y = torch.randn(8, 3), torch.randn(8, 1)
losses = []
for _ in range(4):
    output = model(x)  # forward
    loss = nn.functional.mse_loss(output, y)  # loss
    losses.append(loss.item())
    {before}
    loss.backward()  # backward
    with torch.no_grad():
        for p in model.parameters():
            p -= 0.1 * p.grad
            {after}
"""

PLAIN = "forward loss backward"
NOTICED = "forward loss clear@- backward"


@pytest.mark.parametrize(
    ("before", "after", "later"),
    [
        ("pass", "p.grad = None", NOTICED),
        ("pass", "p.grad.zero_()", NOTICED),
        ("pass", "p.grad.data.zero_()", NOTICED),
        ("model.zero_grad()  # clear", "pass", "forward loss clear backward"),
        ("pass", "pass", PLAIN),
    ],
)
def test_manual_descent_on_a_module(play, before, after, later):
    played = play(MODEL.format(before=before, after=after))
    first = later if "clear " in later else PLAIN
    assert played.told() == [f"manual - 1: {first}", *[f"manual - 1: {later}"] * 3]
    assert played.losses() == played.names["losses"]
    assert played.looked_at() == [1, 2, 3, 4]


def test_manual_descent_on_raw_tensors(play):
    """No module is called: forward has no seam, the loss function tells that a round begins."""
    played = play(
        """
import torch
torch.manual_seed(0)
x, y = torch.randn(8, 3), torch.randn(8)
w = torch.zeros(3, requires_grad=True)
b = torch.zeros(1, requires_grad=True)
losses = []
for _ in range(4):
    output = x @ w + b
    loss = torch.nn.functional.mse_loss(output, y)  # loss
    losses.append(loss.item())
    loss.backward()  # backward
    with torch.no_grad():
        w -= 0.1 * w.grad
        b -= 0.1 * b.grad
        w.grad = None
        b.grad = None
"""
    )
    assert played.told() == ["manual - 1: loss backward", *["manual - 1: loss clear@- backward"] * 3]
    assert played.losses() == played.names["losses"]


def test_manual_descent_with_nothing_but_tensors(play):
    """Not even a loss function: backward alone tells of a round."""
    played = play(
        """
import torch
torch.manual_seed(0)
x, y = torch.randn(8, 3), torch.randn(8)
w = torch.zeros(3, requires_grad=True)
losses = []
for _ in range(4):
    loss = ((x @ w - y) ** 2).mean()
    losses.append(loss.item())
    loss.backward()  # backward
    w.data -= 0.1 * w.grad.data
    w.grad.data.zero_()
"""
    )
    assert played.told() == ["manual - 1: backward", *["manual - 1: clear@- backward"] * 3]
    assert played.losses() == played.names["losses"]


def test_weights_that_are_made_anew_each_time(play):
    played = play(
        """
import torch
torch.manual_seed(0)
x, y = torch.randn(8, 3), torch.randn(8)
w = torch.zeros(3, requires_grad=True)
for _ in range(4):
    ((x @ w - y) ** 2).mean().backward()  # backward
    w = (w - 0.1 * w.grad).detach().requires_grad_()
"""
    )
    assert played.told() == ["manual - 1: backward"] * 4


def test_manual_descent_with_autograd_grad(play):
    played = play(
        """
import torch
from torch import nn
torch.manual_seed(0)
model = nn.Linear(3, 1)
x, y = torch.randn(8, 3), torch.randn(8, 1)
losses = []
for _ in range(4):
    output = model(x)  # forward
    loss = nn.functional.mse_loss(output, y)  # loss
    losses.append(loss.item())
    slopes = torch.autograd.grad(loss, list(model.parameters()))  # grad
    with torch.no_grad():
        for p, g in zip(model.parameters(), slopes):
            p -= 0.1 * g
"""
    )
    assert played.told() == ["manual - 1: forward loss grad"] * 4
    assert played.losses() == played.names["losses"]


def test_manual_accumulation_is_told_round_by_round(play):
    """Nothing in torch tells where such weights change, so an update ends with each round."""
    played = play(MODEL.format(before="pass", after="pass").replace("p -= 0.1", "p -= 0.0"))
    assert [len(u.rounds) for u in played.main.updates] == [1] * 4


def test_the_gradient_of_an_input_is_no_training(play):
    played = play(
        """
import torch
from torch import nn
torch.manual_seed(0)
model = nn.Linear(3, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for _ in range(2):
    x = torch.randn(8, 3, requires_grad=True)
    optimizer.zero_grad()  # clear
    model(x).pow(2).mean().backward()  # attack
    moved = (x + 0.1 * x.grad.sign()).detach()
    optimizer.zero_grad()  # clear-again
    model(moved).pow(2).mean().backward()  # backward
    optimizer.step()  # step
"""
    )
    assert played.rounds() == [["backward"]] * 2
    assert [[played.at(r.line) for r in u.discarded] for u in played.main.updates] == [["attack"]] * 2


def test_manual_and_optimizer_side_by_side(play):
    """Two models in one loop, one of them without an optimizer."""
    played = play(
        """
import torch
from torch import nn
torch.manual_seed(0)
one, two = nn.Linear(3, 1), nn.Linear(3, 1)
optimizer = torch.optim.SGD(one.parameters(), lr=0.1)
x = torch.randn(8, 3)
for _ in range(3):
    one(x).pow(2).mean().backward()  # one
    optimizer.step()  # step
    optimizer.zero_grad()  # clear
    two(x).pow(2).mean().backward()  # two
    with torch.no_grad():
        for p in two.parameters():
            p -= 0.1 * p.grad
            p.grad = None
"""
    )
    assert [u.kind for u in played.main.updates] == ["step", "manual"] * 3
    assert played.rounds() == [["one"], ["two"]] * 3
