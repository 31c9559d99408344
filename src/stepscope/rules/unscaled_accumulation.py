"""Losses of several micro-batches are accumulated and not divided by their number.

What it sees: several backwards from one line lead to each step, each of a loss that is the mean over
its own micro-batch, and that mean goes in whole.

Why it hurts: the step uses the sum of the micro-batches' gradients, so it is larger than that of one
large batch by their number: the learning rate is in effect multiplied. (Adam evens the size out, but
not the clipping before it.)

What to do: divide each loss by the number of micro-batches.

When to ignore it: where the sum is meant, or the learning rate was chosen for it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from stepscope.checking.readings.accumulation import accumulating, rewritten, usual_rounds
from stepscope.checking.rule import Rule, found
from stepscope.checking.words import count, figure

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepscope.checking.readings.accumulation import Window
    from stepscope.checking.rule import Found
    from stepscope.record.look import LossLook
    from stepscope.record.run import RankRun, Run

RULE = Rule(phase="clear and step", evidence="hint", severity="warning")

#: Operations that leave all values as they are.
_SHAPES = frozenset(
    {"View", "UnsafeView", "ReshapeAlias", "Squeeze", "Unsqueeze", "Transpose", "Permute", "T", "Clone"}
)


def check(run: Run) -> Iterator[Found]:
    main = run.main
    for owner, found_windows in accumulating(main).items():
        looked = [window for window in found_windows if len(window.rounds) > 1 and window.losses]
        if looked and all(_whole(window) for window in looked):
            yield _tell(main, owner, found_windows, looked)


def _whole(window: Window) -> bool:
    """Whether every round backpropagates the whole mean over a batch of its own, and nobody divides afterwards."""
    if rewritten(window) or any(r.backward is not None and r.backward.retain_graph for r in window.rounds):
        return False
    if not all(r.models and r.models == window.rounds[0].models for r in window.rounds):
        return False
    whole = [
        loss.function is not None and _is_mean(loss) and math.isclose(abs(float(loss.factor)), 1.0)
        for loss in window.losses
    ]
    functions = {loss.function for loss in window.losses}
    return all(whole) and len(functions) == 1 and len(window.losses) == len({loss.round for loss in window.losses})


def _is_mean(loss: LossLook) -> bool:
    """Whether what went into backward is the plain mean of what the loss function makes of each sample."""
    if loss.reduction != "none":
        return loss.reduction == "mean"
    after = {name.rstrip("0123456789").removesuffix("Backward") for name in loss.operations}
    return "Mean" in after and after <= {"Mean", *_SHAPES}


def _tell(main: RankRun, owner: str, them: list[Window], looked: list[Window]) -> Found:
    usual = usual_rounds(them)
    first = looked[0]
    optimizer = main.optimizer_name(owner)
    excess = first.excess
    cost = "" if excess is None else f", in update {first.update.index} {figure(excess)} x that of one on average"
    return found(
        first.backward,
        first.update.index,
        f"{optimizer}.step() uses the sum over {usual} micro-batches, not their mean: each loss is the mean over its "
        f"micro-batch and is not divided by {usual}, so the gradient is up to {usual} x as large{cost}; "
        f"so it went in {count(len(them), 'update')}",
        facts={"optimizer": optimizer, "rounds": usual, "excess": excess, "updates": len(them)},
        remedy=f"- loss.backward()\n+ (loss / {usual}).backward()",
    )


def bad() -> None:
    import torch
    from torch import nn

    torch.manual_seed(0)
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    inputs, targets = torch.randn(64, 4), torch.randint(2, (64,))
    for start in range(0, 64, 16):
        optimizer.zero_grad()
        for micro in range(start, start + 16, 4):
            loss = nn.functional.cross_entropy(model(inputs[micro : micro + 4]), targets[micro : micro + 4])
            loss.backward()  # fires
        optimizer.step()


def good() -> None:
    import torch
    from torch import nn

    torch.manual_seed(0)
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    inputs, targets = torch.randn(64, 4), torch.randint(2, (64,))
    for start in range(0, 64, 16):
        optimizer.zero_grad()
        for micro in range(start, start + 16, 4):
            loss = nn.functional.cross_entropy(model(inputs[micro : micro + 4]), targets[micro : micro + 4])
            (loss / 4).backward()
        optimizer.step()
