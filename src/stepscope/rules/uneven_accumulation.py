"""Means over micro-batches with different numbers of targets are accumulated as if they were equal.

What it sees: several backwards from one line lead to each step, each of a mean over the targets that
count in its micro-batch (the others are padding, or ignored); every mean gets the same share of the
step, though the numbers of targets differ widely.

Why it hurts: the mean of the means is not the mean. A target in a short micro-batch pushes the weights
many times as hard as one in a long micro-batch, and the result depends on how samples fall together.

What to do: sum the losses of the targets and divide by the number of targets in the whole update.

When to ignore it: where each micro-batch is meant to count the same, whatever its size.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from stepscope.checking.readings.accumulation import accumulating, rewritten
from stepscope.checking.rule import Rule, found
from stepscope.checking.words import figure

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepscope.checking.readings.accumulation import Window
    from stepscope.checking.rule import Found
    from stepscope.record.run import RankRun, Run

RULE = Rule(phase="clear and step", evidence="strong", severity="warning")

#: By so much the numbers of targets in one update must differ,
UNEVEN = 1.5
#: in so many of the updates, and in so many of them at least.
SHARE = 0.5
FEWEST = 3


def check(run: Run) -> Iterator[Found]:
    main = run.main
    for owner, found_windows in accumulating(main).items():
        several = [window for window in found_windows if len(window.rounds) > 1]
        uneven = [window for window in several if _ratio(window) >= UNEVEN]
        looked = [window for window in several if window.losses]
        if len(uneven) >= max(FEWEST, SHARE * len(several)) and looked and all(_same_share(w) for w in looked):
            yield _tell(main, owner, uneven, len(several))


def _ratio(window: Window) -> float:
    """The largest number of targets of a round over the smallest."""
    counts = [made.of for made in window.rounds]
    return max(counts) / min(counts) if min(counts) > 0 else 1.0


def _same_share(window: Window) -> bool:
    """Whether every round's mean over its targets goes in with the same factor, and nobody divides afterwards."""
    factors = {round(abs(float(loss.factor)), 9) for loss in window.losses}
    means = all(loss.function is not None and loss.reduction == "mean" for loss in window.losses)
    return means and len(factors) == 1 and not rewritten(window)


def _of_positions(window: Window) -> bool:
    """Whether targets are positions of samples: some of them are left out, or each sample has several."""
    for loss in window.losses:
        shape = loss.target.shape if loss.target is not None else []
        if len(shape) > 1 or (shape and 0 < loss.of < math.prod(shape)):
            return True
    return False


def _tell(main: RankRun, owner: str, uneven: list[Window], windows: int) -> Found:
    optimizer = main.optimizer_name(owner)
    first, worst = uneven[0], max(uneven, key=_ratio)
    counts = [made.of for made in worst.rounds]
    positions = any(_of_positions(window) for window in uneven)
    return found(
        first.backward,
        first.update.index,
        f"the micro-batches of an update have different numbers of targets, and their means are added with equal "
        f"weight: in update {worst.update.index} ({min(counts):,} to {max(counts):,} targets) a target in the smallest "
        f"counts {figure(_ratio(worst))} x as much as one in the largest; so it went in {len(uneven)} of {windows} "
        f"updates",
        facts={"optimizer": optimizer, "fewest": min(counts), "most": max(counts), "updates": len(uneven)},
        remedy="- loss = cross_entropy(logits, targets) / micro_batches\n"
        '+ loss = cross_entropy(logits, targets, reduction="sum") / targets_in_update\n  {line}',
        evidence=None if positions else "hint",
    )


def bad() -> None:
    import torch
    from torch import nn

    torch.manual_seed(0)
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    inputs, targets = torch.randn(16, 6, 4), torch.randint(2, (16, 6))
    lengths = torch.tensor([6, 1, 2, 5] * 4)
    targets[torch.arange(6) >= lengths[:, None]] = -100
    for start in range(0, 16, 4):
        optimizer.zero_grad()
        for sample in range(start, start + 4):
            loss = nn.functional.cross_entropy(model(inputs[sample]), targets[sample]) / 4
            loss.backward()  # fires
        optimizer.step()


def good() -> None:
    import torch
    from torch import nn

    torch.manual_seed(0)
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    inputs, targets = torch.randn(16, 6, 4), torch.randint(2, (16, 6))
    lengths = torch.tensor([6, 1, 2, 5] * 4)
    targets[torch.arange(6) >= lengths[:, None]] = -100
    for start in range(0, 16, 4):
        optimizer.zero_grad()
        total = int(lengths[start : start + 4].sum())
        for sample in range(start, start + 4):
            loss = nn.functional.cross_entropy(model(inputs[sample]), targets[sample], reduction="sum") / total
            loss.backward()
        optimizer.step()
