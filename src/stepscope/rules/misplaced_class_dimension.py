"""A cross-entropy takes another dimension than that of the classes for the classes.

What it sees: the scores come straight from a linear layer, so each position's classes lie side by
side, in the last dimension; nothing exchanged dimensions since (a ``view`` does not), and the
cross-entropy takes dimension 1. Torch is silent where the sizes happen to fit.

Why it hurts: the softmax runs over positions, and each target is compared with numbers that belong
to other positions. The model learns next to nothing, and its accuracy, taken over the last
dimension, stays near chance.

What to do: exchange the dimensions, ``scores.transpose(1, 2)`` or ``scores.movedim(-1, 1)``, or
flatten the positions: ``scores.flatten(0, -2)`` with ``targets.flatten()``.

When to ignore it: where the linear layer really gives one number per position, class by class.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from stepscope.checking.readings.losses import LINEAR, always, losses, made_at, number, so_often
from stepscope.checking.rule import NothingToJudge, Rule, found
from stepscope.checking.words import figure

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepscope.checking.readings.losses import Seen
    from stepscope.checking.rule import Found
    from stepscope.record.run import Run

RULE = Rule(phase="loss", evidence="hint")

_OF_ROWS = LINEAR - {"Convolution"}


def check(run: Run) -> Iterator[Found]:
    calls = list(losses(run.main, "cross_entropy", "nll_loss"))
    if not calls:
        raise NothingToJudge("no cross-entropy of torch was seen with gradients")
    for seen in always(calls, _is_misplaced):
        yield _tell(seen)


def _is_misplaced(call: Seen) -> bool:
    """Whether the classes lie in the last dimension although the loss takes them from dimension 1."""
    shape, maker = call.facts.given, call.maker
    if len(shape) < 3 or maker is None or call.facts.reordered:
        return False
    if maker.operation in {"Add", "LogSoftmax"} and len(call.facts.behind) > 1:  # a bias, or what nll_loss wants
        maker = call.facts.behind[1] if call.facts.behind[1].operation in _OF_ROWS else maker
    positions = math.prod(shape[2:])
    fits = bool(maker.shape) and maker.shape[-1] == shape[1] and math.prod(maker.shape) == math.prod(shape)
    return maker.operation in _OF_ROWS and fits and positions > 1


def _tell(seen: list[Seen]) -> Found:
    first, last = seen[0], seen[-1]
    shape = first.facts.given
    classes = shape[1]
    chance = math.log(classes)
    shown = "x".join(map(str, shape))
    message = (
        f"cross_entropy takes dimension 1 of these {shown} scores for the classes, but the linear "
        f"layer{made_at(first.maker, first.place)} "
        f"put the {classes} classes of each position side by side, and nothing exchanged dimensions since: it "
        "compares positions, "
        f"not classes; {so_often(seen)}"
    )
    if first.loss.result is not None and last.loss.result is not None and first.loss.reduction == "mean":
        message += (
            f". The loss went from {figure(number(first.loss.result))} to {figure(number(last.loss.result))}; "
            f"guessing gives {figure(chance)}"
        )
    return found(
        first.place,
        first.update.index,
        message,
        facts={"classes": classes, "shape": [float(size) for size in shape], "looked_at": len(seen)},
        remedy="- {line}\n+ (the same with the scores' last dimension moved to place 1, as by .movedim(-1, 1))",
    )


def bad() -> None:
    import torch
    from torch import nn

    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 5))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    inputs = torch.randn(128, 5, 6)
    targets = inputs[..., :5].argmax(-1)
    for start in range(0, 128, 16):
        scores = model(inputs[start : start + 16])
        loss = nn.functional.cross_entropy(scores, targets[start : start + 16])  # fires
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def good() -> None:
    import torch
    from torch import nn

    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 5))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    inputs = torch.randn(128, 5, 6)
    targets = inputs[..., :5].argmax(-1)
    for start in range(0, 128, 16):
        scores = model(inputs[start : start + 16]).transpose(1, 2)
        loss = nn.functional.cross_entropy(scores, targets[start : start + 16])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
