"""Probabilities go into a loss that takes the sigmoid once more.

What it sees: the input of a binary cross-entropy with logits was made by a sigmoid, as the graph
tells (behind views and casts, too), or the input of a plain binary cross-entropy by a sigmoid of a
sigmoid. Numbers that merely happen to lie between 0 and 1 are no finding.

Why it hurts: the sigmoid of a probability lies between 0.5 and 0.73. The model can say neither a
clear yes nor any no, the loss stays high, and the gradient shrinks by both sigmoids.

What to do: hand the raw scores to the loss with logits (or the probabilities to the one without).

When to ignore it: where the squashed scores are meant, which is rare.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from stepscope.checking.readings.losses import always, losses, made_at, number, other_lines, so_often
from stepscope.checking.rule import NothingToJudge, Rule, found
from stepscope.checking.words import figure

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepscope.checking.readings.losses import Seen
    from stepscope.checking.rule import Found
    from stepscope.record.run import Run

RULE = Rule(phase="loss", evidence="proof")

WITH_LOGITS = "binary_cross_entropy_with_logits"
PLAIN = "binary_cross_entropy"


def check(run: Run) -> Iterator[Found]:
    if not any(losses(run.main)):
        raise NothingToJudge("no loss function of torch was seen with gradients")
    for seen in always(losses(run.main, WITH_LOGITS, PLAIN), _is_squashed_twice):
        yield _tell(seen)


def _is_squashed_twice(call: Seen) -> bool:
    made = [behind.operation for behind in call.facts.behind]
    needed = ["Sigmoid"] if call.loss.function == WITH_LOGITS else ["Sigmoid", "Sigmoid"]
    return made[: len(needed)] == needed


def _tell(seen: list[Seen]) -> Found:
    first = seen[0]
    sigmoid_of_one = 1 / (1 + math.exp(-1))
    yes, no = -math.log(sigmoid_of_one), math.log(2)
    results = [number(call.loss.result) for call in seen if call.loss.result is not None]
    at = made_at(first.maker, first.place)
    if first.loss.function == WITH_LOGITS:
        told = f"binary_cross_entropy_with_logits takes the sigmoid itself, but its input came out of a sigmoid{at}"
    else:
        told = f"the input of binary_cross_entropy came out of a sigmoid{at} of a sigmoid"
    message = (
        f"{told}; {so_often(seen)}{other_lines(seen)}. The model can give no probability below 0.5 and none above "
        f"{figure(sigmoid_of_one)}: a target of 1 costs {figure(yes)} at least, a target of 0 {figure(no)}"
    )
    if results:
        message += f" (the loss went from {figure(results[0])} to {figure(results[-1])})"
    return found(
        first.place,
        first.update.index,
        message,
        facts={"least_for_1": yes, "least_for_0": no, "looked_at": len(seen)},
        remedy="- (the sigmoid before the loss)\n+ (none: the loss wants the raw scores)\n  {line}",
    )


def bad() -> None:
    import torch
    from torch import nn

    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 1), nn.Sigmoid())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    inputs = torch.randn(128, 8)
    targets = (inputs[:, 0] > 0).float()
    for start in range(0, 128, 16):
        predictions = model(inputs[start : start + 16]).squeeze(1)
        loss = nn.functional.binary_cross_entropy_with_logits(predictions, targets[start : start + 16])  # fires
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def good() -> None:
    import torch
    from torch import nn

    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    inputs = torch.randn(128, 8)
    targets = (inputs[:, 0] > 0).float()
    for start in range(0, 128, 16):
        predictions = model(inputs[start : start + 16]).squeeze(1)
        loss = nn.functional.binary_cross_entropy_with_logits(predictions, targets[start : start + 16])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
