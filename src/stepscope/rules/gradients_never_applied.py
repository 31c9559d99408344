"""Backward fills gradients for an optimizer that never steps.

What it sees: an optimizer holds parameters that backward fills again and again, and it does not step
once: not from the first backward to the end of what was watched. The weights are not written by hand,
and no other optimizer that steps holds them.

Why it hurts: these weights stay as they were made. The rest of the model may even learn around them,
so that the loss falls and the fault stays hidden.

What to do: call the optimizer's ``step()`` after backward.

When to ignore it: where this optimizer takes its turn later in the training.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from stepscope.checking.readings.loop import gathered, held_by, timeline
from stepscope.checking.rule import NothingToJudge, Rule, found
from stepscope.checking.words import count
from stepscope.record import events as ev

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepscope.checking.finding import Evidence
    from stepscope.checking.rule import Found
    from stepscope.record.look import GatheringLook
    from stepscope.record.run import RankRun, Run

RULE = Rule(phase="clear and step", evidence="strong")

#: So many backwards may well be accumulated, or be a phase; more are not, even where the run was cut short.
MANY = 50
FEWEST = 4


@dataclass
class _Idle:
    """What an optimizer that never stepped was given."""

    first: tuple[int, ev.Backward] | None = None
    backwards: int = 0
    clears: int = 0
    cleared_itself: int = 0
    others: set[str] = field(default_factory=set)


def check(run: Run) -> Iterator[Found]:
    main = run.main
    if not main.optimizers:
        raise NothingToJudge("no optimizer was seen")
    if any(isinstance(event, ev.CompilingStarted) for event in main.events):
        raise NothingToJudge("steps inside compiled code cannot be seen")
    stepped = {event.optimizer for event in main.of(ev.OptimizerStepped)}
    stepped |= {use.optimizer for use in main.of(ev.ScalerUsed) if use.action == "step" and use.optimizer}
    trained: set[str] = set().union(*(held_by(main, owner) for owner in stepped))
    for owner in _apart(main):
        if owner in stepped or held_by(main, owner) & trained or _moves(main, owner):
            continue
        idle = _follow(main, owner)
        if idle.first is not None and idle.backwards >= FEWEST:
            yield from _tell(main, owner, idle)


def _apart(main: RankRun) -> list[str]:
    """The optimizers, those that hold the same parameters (one wraps the other) once, by the better name."""
    kept: dict[frozenset[str], str] = {}
    for owner, seen in main.optimizers.items():
        held = frozenset(held_by(main, owner))
        if held not in kept or main.optimizers[kept[held]].name == main.optimizers[kept[held]].cls != seen.name:
            kept[held] = owner
    return list(kept.values())


def _follow(main: RankRun, owner: str) -> _Idle:
    idle = _Idle()
    for number, event in timeline(main):
        if isinstance(event, ev.Backward) and owner in event.owners:
            if idle.first is None or len(event.owners) < len(idle.first[1].owners):
                idle.first = number, event  # rather its own loss than another's that passes through
            idle.backwards += 1
        elif isinstance(event, ev.GradientsCleared) and owner in event.owners and idle.backwards:
            idle.clears += 1
            idle.cleared_itself += event.by == "optimizer" and event.owners == [owner]
        elif isinstance(event, ev.OptimizerStepped):
            idle.others.add(event.optimizer)
    return idle


def _moves(main: RankRun, owner: str) -> bool:
    """Whether the weights change although this optimizer does not step: the script writes them itself."""
    looks: list[GatheringLook] = []
    if main.forward_look is not None:
        looks += [look for look in main.forward_look.gathered if look.owner == owner]
    for update in main.updates:
        looks += gathered(update, owner)
    whole = [look for look in looks if look.parameters == max(other.parameters for other in looks)]
    return any(not math.isclose(float(look.weights), float(whole[0].weights), rel_tol=1e-12) for look in whole)


def _tell(main: RankRun, owner: str, idle: _Idle) -> Iterator[Found]:
    assert idle.first is not None
    number, backward = idle.first
    ended = main.ended
    finished = ended is not None and ended.reason == "finished"
    if not (finished or idle.clears or idle.backwards >= MANY):
        return  # it may still accumulate
    if idle.others and not (finished or idle.cleared_itself):
        # Another network's loss may only pass through; this one may get its turn later.
        weaker: Evidence | None = "hint"
    else:
        weaker = None if finished or idle.backwards >= MANY else "hint"
    optimizer = main.optimizer_name(owner)
    held = main.optimizers[owner]
    parameters = sum(len(group.parameters) for group in held.groups)
    yield found(
        backward,
        number,
        f"{optimizer} never steps: {count(idle.backwards, 'backward')} filled the gradients of the "
        f"{count(parameters, 'parameter')} it holds, and none was ever applied; these weights stay as they were made",
        facts={"optimizer": optimizer, "backwards": idle.backwards, "cleared": idle.clears, "parameters": parameters},
        remedy=f"  {{line}}\n+ {optimizer}.step()",
        evidence=weaker,
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
        loss.backward()  # fires


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
