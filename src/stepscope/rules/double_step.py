"""Gradients are applied twice: a second step follows, with no backward in between.

What it sees: an optimizer steps, and every gradient it finds is the very one that a step before it,
its own or that of another optimizer with the same parameters, has applied; nothing was added, cleared
or written since.

Why it hurts: every batch moves the weights twice as far as the learning rate says, the second time by a
gradient that was right for weights that are gone; momentum and Adam's moments count it twice.

What to do: step once per backward; give each parameter to one optimizer.

When to ignore it: where the second step is meant, with a rate that takes it into account.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepscope.checking.readings.loop import held_by, steps_in_threads, timeline
from stepscope.checking.rule import NothingToJudge, Rule, found
from stepscope.checking.words import count
from stepscope.record import events as ev

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepscope.checking.rule import Found
    from stepscope.record.run import RankRun, Run

RULE = Rule(phase="clear and step", evidence="strong")

#: Of an optimizer's steps so many must be repetitions.
SHARE = 0.2


def check(run: Run) -> Iterator[Found]:
    main = run.main
    if not any(step.fresh >= 0 for update in main.updates for step in update.steps):
        raise NothingToJudge("no step was watched closely enough")
    if steps_in_threads(main):
        raise NothingToJudge("several threads step")
    steps = [(n, e) for n, e in timeline(main) if isinstance(e, ev.OptimizerStepped)]
    shared = {id(step) for step in _after_one_that_shares(main)}
    for owner in main.optimizers:
        own = [(n, e) for n, e in steps if e.optimizer == owner]
        again = [(n, e) for n, e in own if _repeats(e) or (e.again > 0 and id(e) in shared)]
        if len(again) > 1 and len(again) >= SHARE * len(own):
            yield _tell(main, owner, again, steps)


def _repeats(step: ev.OptimizerStepped) -> bool:
    """Whether all the gradients it found had been applied."""
    return step.fresh == 0 and step.again > 0 and step.again == step.with_gradient


def _after_one_that_shares(main: RankRun) -> Iterator[ev.OptimizerStepped]:
    """The steps that follow, after the same backward, on one of another optimizer with parameters in common."""
    stepped: set[str] = set()
    for _, event in timeline(main):
        if isinstance(event, ev.Backward):
            stepped = set()
        elif isinstance(event, ev.OptimizerStepped):
            held = held_by(main, event.optimizer)
            if any(held & held_by(main, other) for other in stepped - {event.optimizer}):
                yield event
            stepped.add(event.optimizer)


def _tell(
    main: RankRun,
    owner: str,
    again: list[tuple[int, ev.OptimizerStepped]],
    steps: list[tuple[int, ev.OptimizerStepped]],
) -> Found:
    update, step = again[0]
    held = held_by(main, owner)
    before = [e for n, e in steps if n < update and held & held_by(main, e.optimizer)]
    optimizer = main.optimizer_name(owner)
    first = before[-1] if before else step
    by = f"{main.optimizer_name(first.optimizer)}.step() (line {first.line})"
    return found(
        step,
        update,
        f"{optimizer}.step() applies gradients that {by} has applied already, with no backward in between; "
        f"so it went in {count(len(again), 'step')}: each of these batches moves the weights twice",
        facts={"optimizer": optimizer, "steps": len(again), "first": main.optimizer_name(first.optimizer)},
        remedy="- {line}",
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
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        optimizer.step()  # fires


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
