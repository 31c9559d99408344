"""Gradients that a step has already applied are applied again by the next one.

What it sees: a backward adds to a gradient that its optimizer has used in an earlier step and that
nobody has cleared since, and that same optimizer steps again. Accumulation is something else: it
adds *before* a step has used the gradient.

Why it hurts: every step applies the sum of all gradients so far. Old batches push as hard as the
new one, in directions that were right for weights that are gone.

What to do: clear the gradients once per update, before backward or after the step.

When to ignore it: where you keep a running sum of gradients on purpose.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepscope.checking.reading import held_by, parameter_names
from stepscope.checking.rule import NothingToJudge, Rule, found
from stepscope.checking.words import count, listed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepscope.checking.rule import Found
    from stepscope.record.events import Backward
    from stepscope.record.run import RankRun, Run
    from stepscope.record.updates import Update

RULE = Rule(phase="clear and step", evidence="proof")


def check(run: Run) -> Iterator[Found]:
    main = run.main
    if not any(update.steps for update in main.updates):
        raise NothingToJudge("no optimizer stepped")
    for owner in main.optimizers:
        stale = [(u, b, p) for u in main.updates if owner in u.owners for b, p in _stale(main, u, owner)]
        if stale:
            yield _tell(main, owner, stale)


def _stale(main: RankRun, update: Update, owner: str) -> Iterator[tuple[Backward, list[str]]]:
    """The backwards of an update that added to gradients which ``owner`` had applied before."""
    held = held_by(main, owner)
    for made in update.rounds:
        if made.backward is not None:
            parameters = [parameter for parameter in made.backward.stale if parameter in held]
            if parameters:
                yield made.backward, parameters


def _tell(main: RankRun, owner: str, stale: list[tuple[Update, Backward, list[str]]]) -> Found:
    update, backward, parameters = stale[0]
    known = parameter_names(main)
    names = [known.get(parameter, parameter) for parameter in parameters]
    optimizer = main.optimizer_name(owner)
    return found(
        backward,
        update.index,
        f"{optimizer}.step() applies gradients again that it has applied before: nothing cleared those of "
        f"{listed(names)} before this backward added to them; so it went in {count(len(stale), 'update')}",
        facts={"optimizer": optimizer, "parameters": names, "updates": len(stale)},
        remedy=f"+ {optimizer}.zero_grad()\n  {{line}}",
    )


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
