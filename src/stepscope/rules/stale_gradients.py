"""Gradients that a step has already applied are applied again by the next one.

What it sees: a backward adds to a gradient that its optimizer has used in an earlier step and that
nobody has cleared since, and that same optimizer steps again. Accumulation is something else: it
adds *before* a step has used the gradient.

Why it hurts: every step applies the sum of all gradients so far. Old batches push as hard as the
new one, in directions that were right for weights that are gone.

What to do: clear the gradients once per update, before backward or after the step.

When to ignore it: where you keep a running sum of gradients on purpose. Momentum that lives in
``.grad`` (scaled between step and backward) is told of as a hint only.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from stepscope.checking.readings.loop import gathered, held_by, parameter_names
from stepscope.checking.rule import NothingToJudge, Rule, found
from stepscope.checking.words import count, figure, listed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepscope.checking.finding import Evidence
    from stepscope.checking.rule import Found
    from stepscope.record.events import Backward
    from stepscope.record.run import RankRun, Run
    from stepscope.record.updates import Update

RULE = Rule(phase="clear and step", evidence="proof")

#: From so many steps on, one that applies old gradients is an exception.
OFTEN = 5


def check(run: Run) -> Iterator[Found]:
    main = run.main
    if not any(update.steps for update in main.updates):
        raise NothingToJudge("no optimizer stepped")
    for owner in main.optimizers:
        stale = [one for u in main.updates if owner in u.owners and (one := _stale(main, u, owner)) is not None]
        if stale:
            yield _tell(main, owner, stale)


def _stale(main: RankRun, update: Update, owner: str) -> tuple[Update, Backward, list[str]] | None:
    """The first backward of an update that added to gradients which a step of ``owner`` had applied before.

    The first of its own: another network's backward, which reaches more optimizers, may have passed through first.
    """
    held = held_by(main, owner)
    found = [
        (update, made.backward, parameters)
        for made in update.rounds
        if made.backward is not None and (parameters := [one for one in made.backward.stale if one in held])
    ]
    return min(found, key=lambda one: len(one[1].owners), default=None)


def _tell(main: RankRun, owner: str, stale: list[tuple[Update, Backward, list[str]]]) -> Found:
    update, backward, parameters = stale[0]
    known = parameter_names(main)
    names = [known.get(parameter, parameter) for parameter in parameters]
    optimizer = main.optimizer_name(owner)
    steps = sum(owner in u.owners for u in main.updates)
    excess = {u.index: e for u, _, _ in stale if (e := _excess(u, owner)) is not None}
    worst = max(excess, key=excess.__getitem__, default=0)
    cost = (
        f"; in update {worst} the gradient applied was {figure(excess[worst])} x what its batch asked for"
        if worst and excess[worst] > 1
        else ""
    )
    if _kept_on_purpose(main, owner, stale):
        weaker: Evidence | None = "hint"
        cost = "; the script changes them between step and backward, perhaps to keep a running sum on purpose"
    else:
        # Once, among many: rather what a phase before has left behind.
        weaker = "hint" if len(stale) == 1 and steps >= OFTEN else None
    return found(
        backward,
        update.index,
        f"{optimizer}.step() applies gradients again that it has applied before: nothing cleared those of "
        f"{listed(names)} before this backward added to them; so it went in {count(len(stale), 'update')}{cost}",
        facts={
            "optimizer": optimizer,
            "parameters": names,
            "updates": len(stale),
            "excess": excess[worst] if worst else None,
        },
        remedy=f"+ {optimizer}.zero_grad()\n  {{line}}",
        evidence=weaker,
    )


def _excess(update: Update, owner: str) -> float | None:
    """How many times the gradient that its backwards asked for, at most, a step applied; None where not measured."""
    looks = [look for look in gathered(update, owner) if float(look.added) > 0]
    if not looks:
        return None
    ratio = float(looks[-1].after) / math.fsum(float(look.added) for look in looks)
    return ratio if math.isfinite(ratio) else None


def _kept_on_purpose(main: RankRun, owner: str, stale: list[tuple[Update, Backward, list[str]]]) -> bool:
    """Whether the script scales the old gradients (momentum that lives in ``.grad``), by version or by value."""
    if 2 * sum(bool(backward.altered) for _, backward, _ in stale) > len(stale):
        return True
    before = {u.index: u for u in main.updates}
    changed = []
    for update, _, _ in stale:
        earlier = before.get(update.index - 1)
        looks = gathered(update, owner)
        left = gathered(earlier, owner) if earlier is not None else []
        if looks and left and earlier is not None and not earlier.clips and len(update.rounds) == 1:
            changed.append(not math.isclose(float(looks[0].before), float(left[-1].after), rel_tol=1e-3))
    return bool(changed) and all(changed)


def bad() -> None:
    import torch
    from torch import nn

    torch.manual_seed(0)
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    inputs, targets = torch.randn(64, 4), torch.randint(2, (64,))
    for start in range(0, 64, 16):
        loss = nn.functional.cross_entropy(model(inputs[start : start + 16]), targets[start : start + 16])
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
        loss = nn.functional.cross_entropy(model(inputs[start : start + 16]), targets[start : start + 16])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
