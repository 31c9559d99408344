"""Gradients are cleared after backward has filled them and before a step has used them.

What it sees: between a backward and the next step of the optimizer whose parameters it filled, the
gradients are cleared, and the step finds nothing; or, under accumulation, each step finds the last
of several rounds of the same loop, because the gradients of the others were cleared in between.

Why it hurts: the work of those backwards is thrown away. Where all of it is, nothing trains; where
it is all but the last micro-batch, the effective batch is that one, with its loss divided besides.

What to do: clear before backward, or right after the step; under accumulation once per step.

When to ignore it: where the cleared gradients were copied and are used by hand.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from stepscope.checking.readings.loop import discards, gathered, steps_in_threads
from stepscope.checking.rule import NothingToJudge, Rule, found
from stepscope.checking.words import count

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepscope.checking.readings.loop import Discard
    from stepscope.checking.rule import Found
    from stepscope.record.events import Backward
    from stepscope.record.run import RankRun, Run
    from stepscope.record.updates import Update

RULE = Rule(phase="clear and step", evidence="proof")

#: So many steps in a row must have found only the last round, for it to be no exception.
MOST_EXCEPTIONS = 0.2
FEWEST = 3


@dataclass
class _Window:
    """A step that used only the last rounds of its update."""

    update: Update
    thrown: list[Backward]
    used: list[Backward]
    clears: list[tuple[str | None, int]] = field(default_factory=list)


def check(run: Run) -> Iterator[Found]:
    main = run.main
    if not any(update.rounds or update.discarded for update in main.updates):
        raise NothingToJudge("no gradients were computed and then stepped with")
    for owner in main.optimizers:
        steps = [step for update in main.updates for step in update.steps if step.optimizer == owner]
        wasted = list(discards(main, owner))
        if len(wasted) > 1 and 2 * len(wasted) > len(steps):
            yield _all(main, owner, wasted, len(steps))
        elif (zeroed := list(_zeroed(main, owner))) and len(zeroed) >= FEWEST - 1:
            yield _by_hand(main, owner, zeroed)
        elif not steps_in_threads(main):
            windows = list(_windows(main, owner))
            if len(windows) >= FEWEST and len(windows) >= (1 - MOST_EXCEPTIONS) * len(steps):
                yield from _most(main, owner, windows)


def _all(main: RankRun, owner: str, wasted: list[Discard], steps: int) -> Found:
    first = wasted[0]
    optimizer = main.optimizer_name(owner)
    at = first.cleared if first.cleared.file is not None else first.step
    return found(
        at,
        first.update,
        f"the gradients that backward computed (line {first.backward.line}) are cleared before {optimizer}.step() "
        f"(line {first.step.line}) can use them: {count(len(wasted), 'step')} of {steps} found none, so nothing trains",
        facts={"optimizer": optimizer, "steps": steps, "without": len(wasted)},
        remedy=f"- {{line}}\n  loss.backward()\n  {optimizer}.step()\n+ {optimizer}.zero_grad()",
    )


def _zeroed(main: RankRun, owner: str) -> Iterator[Update]:
    """The updates whose step is measured to have found zeros where its last backward left gradients."""
    for update in main.looks:
        looks = gathered(update, owner)
        if owner in update.owners and looks and float(looks[-1].after) > 0 and update.look is not None:
            held = [p for p in update.look.parameters if p.optimizer == owner]
            if held and all(p.gradient_norm == 0 for p in held):
                yield update


def _by_hand(main: RankRun, owner: str, zeroed: list[Update]) -> Found:
    optimizer = main.optimizer_name(owner)
    step = next(step for step in zeroed[0].steps if step.optimizer == owner)
    line = zeroed[0].rounds[-1].line if zeroed[0].rounds else 0
    return found(
        step,
        zeroed[0].index,
        f"the gradients that backward computed (line {line}) are set to zero before {optimizer}.step() can use them: "
        f"so it was in {count(len(zeroed), 'update')} looked at, and nothing trains",
        facts={"optimizer": optimizer, "without": len(zeroed)},
    )


def _windows(main: RankRun, owner: str) -> Iterator[_Window]:
    """The updates whose step used a round of a loop of which it threw others away."""
    for update in main.updates:
        if owner not in update.owners or any(use.action == "skip" for use in update.scaling):
            continue
        used = [r.backward for r in update.rounds if r.backward is not None and owner in r.backward.owners]
        lines = {(backward.file, backward.line) for backward in used}
        thrown = [r.backward for r in update.discarded if r.backward is not None and owner in r.backward.owners]
        thrown = [backward for backward in thrown if (backward.file, backward.line) in lines]
        if used and thrown:
            yield _Window(update, thrown, used, _clears_between(update, owner, thrown, used))


def _clears_between(
    update: Update, owner: str, thrown: list[Backward], used: list[Backward]
) -> list[tuple[str | None, int]]:
    return [
        (clear.file, clear.line)
        for clear in update.clears
        if owner in clear.owners and thrown[0].at <= clear.at <= used[0].at
    ]


def _most(main: RankRun, owner: str, windows: list[_Window]) -> Iterator[Found]:
    if any(_used_by_hand(window, owner) for window in windows):
        return
    checked = any(_untouched(window, owner) and _divided(window) for window in windows)
    usual, _ = Counter(len(window.thrown) for window in windows).most_common(1)[0]
    first = windows[0]
    places = [place for place in first.clears if place[0] is not None]
    optimizer = main.optimizer_name(owner)
    total = usual + len(first.used)
    yield found(
        places[0] if places else (first.used[0].file, first.used[0].line),
        first.update.index,
        f"the gradients are cleared between the {total} backwards that lead to a step: {optimizer}.step() uses "
        f"{len(first.used)} of {total}, and {usual} are thrown away, in {count(len(windows), 'update')}",
        facts={"optimizer": optimizer, "rounds": total, "used": len(first.used), "updates": len(windows)},
        remedy=f"- {{line}}\n  loss.backward()\n  {optimizer}.step()\n+ {optimizer}.zero_grad()",
        evidence="strong" if checked else "hint",
    )


def _used_by_hand(window: _Window, owner: str) -> bool:
    """Whether the step applied something else than the last rounds, or the weights moved between the rounds."""
    looks = gathered(window.update, owner)
    if len({float(look.weights) for look in looks}) > 1:
        return True  # a climb, as in sharpness-aware minimisation
    return bool(looks) and not window.update.clips and not window.update.scaling and not _untouched(window, owner)


def _divided(window: _Window) -> bool:
    """Whether each loss was divided by the number of rounds: accumulation was meant.

    Otherwise the first rounds may have served another end, such as the gradient of the input.
    """
    rounds = len(window.thrown) + len(window.used)
    losses = window.update.look.losses if window.update.look is not None else []
    return bool(losses) and all(math.isclose(abs(float(x.factor)) * rounds, 1.0, rel_tol=0.01) for x in losses)


def _untouched(window: _Window, owner: str) -> bool:
    """Whether the gradient that the step used is measured to be what its last backward left."""
    looks = gathered(window.update, owner)
    look = window.update.look
    if not looks or look is None or len(looks) < len(window.thrown) + len(window.used):
        return False
    norms = [float(p.gradient_norm) for p in look.parameters if p.optimizer == owner and p.gradient_norm is not None]
    return math.isclose(math.hypot(*norms), float(looks[-1].after), rel_tol=1e-3)


def bad() -> None:
    import torch
    from torch import nn

    torch.manual_seed(0)
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    inputs, targets = torch.randn(64, 4), torch.randint(2, (64,))
    for start in range(0, 64, 16):
        loss = nn.functional.cross_entropy(model(inputs[start : start + 16]), targets[start : start + 16])
        loss.backward()
        optimizer.zero_grad()  # fires
        optimizer.step()


def good() -> None:
    import torch
    from torch import nn

    torch.manual_seed(0)
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    inputs, targets = torch.randn(64, 4), torch.randint(2, (64,))
    for start in range(0, 64, 16):
        loss = nn.functional.cross_entropy(model(inputs[start : start + 16]), targets[start : start + 16])
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
