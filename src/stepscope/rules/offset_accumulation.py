"""Accumulation is off by one: a step comes right after the first micro-batch.

What it sees: the optimizer steps after one backward at the start (of every pass over the data), and
then always after the same larger number.

Why it hurts: the first step uses one micro-batch, divided as if it were one of several, and all later
windows are shifted by one, so that the last micro-batches of a pass are left over.

What to do: test ``(i + 1) % steps == 0``, not ``i % steps == 0``.

When to ignore it: where the number of micro-batches is meant to grow.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from stepscope.checking.readings.accumulation import accumulating, usual_rounds
from stepscope.checking.readings.loop import timeline
from stepscope.checking.rule import Rule, found
from stepscope.record import events as ev

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepscope.checking.finding import Evidence
    from stepscope.checking.readings.accumulation import Window
    from stepscope.checking.rule import Found
    from stepscope.record.run import RankRun, Run

RULE = Rule(phase="clear and step", evidence="strong", severity="warning")

#: So many updates must have the usual number of rounds.
FEWEST = 3


def check(run: Run) -> Iterator[Found]:
    main = run.main
    for owner, found_windows in accumulating(main).items():
        usual = usual_rounds(found_windows)
        counts = [len(window.rounds) for window in found_windows]
        if counts[0] != 1 or counts[1 : 1 + FEWEST] != [usual] * FEWEST or found_windows[0].update.discarded:
            continue
        starts = _after_starts(main, owner)
        if all(rounds == 1 for rounds in starts):
            yield _tell(main, found_windows[0], usual, len(starts))


def _after_starts(main: RankRun, owner: str) -> list[int]:
    """How many backwards there were from the start of each pass over the data to the next step."""
    starts: list[int] = []
    rounds: int | None = None
    for _, event in timeline(main, ev.PassStarted):
        if isinstance(event, ev.PassStarted):
            rounds = 0
        elif isinstance(event, ev.Backward) and owner in event.owners and rounds is not None:
            rounds += 1
        elif isinstance(event, ev.OptimizerStepped) and event.optimizer == owner and rounds is not None:
            if rounds:
                starts.append(rounds)
            rounds = None
    return starts


def _tell(main: RankRun, first: Window, usual: int, passes: int) -> Found:
    step = next(step for step in first.update.steps if step.optimizer == first.owner)
    optimizer = main.optimizer_name(first.owner)
    divided = [loss for loss in first.losses if math.isclose(abs(float(loss.factor)) * usual, 1.0, rel_tol=0.01)]
    weaker: Evidence | None = None if divided or passes > 1 else "hint"
    cost = f", which counts only 1/{usual} of what it should" if divided else ""
    when = f"at the start of each of {passes} passes" if passes > 1 else "at the start"
    return found(
        step,
        first.update.index,
        f"{optimizer} steps after the first micro-batch {when}, and then after every {usual}: the first step has one "
        f"micro-batch only{cost}, and the windows are shifted by one",
        facts={"optimizer": optimizer, "rounds": usual, "passes": passes, "divided": bool(divided)},
        remedy=f"- if i % {usual} == 0:\n+ if (i + 1) % {usual} == 0:\n  {{line}}",
        evidence=weaker,
    )


def bad() -> None:
    import torch
    from torch import nn

    torch.manual_seed(0)
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    inputs, targets = torch.randn(68, 4), torch.randint(2, (68,))
    for i, start in enumerate(range(0, 68, 4)):
        loss = nn.functional.cross_entropy(model(inputs[start : start + 4]), targets[start : start + 4])
        (loss / 4).backward()
        if i % 4 == 0:
            optimizer.step()  # fires
            optimizer.zero_grad()


def good() -> None:
    import torch
    from torch import nn

    torch.manual_seed(0)
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    inputs, targets = torch.randn(64, 4), torch.randint(2, (64,))
    for i, start in enumerate(range(0, 64, 4)):
        loss = nn.functional.cross_entropy(model(inputs[start : start + 4]), targets[start : start + 4])
        (loss / 4).backward()
        if (i + 1) % 4 == 0:
            optimizer.step()
            optimizer.zero_grad()
