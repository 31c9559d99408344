"""The best weights were kept without copying them, and went on changing with every step.

What it sees: `load_state_dict` is given the model's own live tensors, from a `state_dict` that was taken updates
ago (it shares the model's memory); or such a dict is still kept when a run was stopped early.

Why it hurts: what you keep as the best epoch is always the newest one. The restore at the end does nothing.

What to do: `copy.deepcopy(model.state_dict())`, or save it to a file at once.

When to ignore it: where you mean to keep a view of the live weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepscope.checking.rule import NothingToJudge, Rule, found
from stepscope.checking.words import count
from stepscope.record import events as ev

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepscope.checking.rule import Found
    from stepscope.record.run import RankRun, Run

RULE = Rule(phase="state", evidence="proof")


def check(run: Run) -> Iterator[Found]:
    main = run.main
    moved = list(main.of(ev.StateMoved))
    kept = list(main.of(ev.StateKept))
    if not moved and not kept:
        raise NothingToJudge("no state was taken or loaded")
    told: set[tuple[str | None, int]] = set()
    held: set[int] = set()  # lines whose states outlived updates
    updates = 0
    for event in main.events:
        updates += isinstance(event, ev.OptimizerStepped)
        if not isinstance(event, ev.StateMoved):
            continue
        if event.action == "taken" and event.since > 0:
            held.add(event.line)
        if event.action == "loaded" and _is_own(event, updates, held):
            place = (event.taken_file, event.taken_line) if event.taken_line else (event.file, event.line)
            if place not in told:
                told.add(place)
                yield _tell_loaded(event, place, updates)
    for left in kept:
        if (left.taken_file, left.taken_line) not in told and _stopped(main):
            yield _tell_kept(left)


def _is_own(event: ev.StateMoved, updates: int, held: set[int]) -> bool:
    """Whether all that was loaded is live tensors of the model, kept through updates (or kept so before, at least)."""
    if not 0 < event.keys == event.own:
        return False
    again = event.taken_line in held and event.taken_line != event.line
    return event.since > 0 or (event.since < 0 < updates) or again


def _stopped(main: RankRun) -> bool:
    return main.ended is not None and main.ended.reason in {"stopped", "exit"}


def _tell_loaded(event: ev.StateMoved, place: tuple[str | None, int], updates: int) -> Found:
    ago = f", {count(event.since, 'update')} ago" if event.since > 0 else ""
    return found(
        place,
        updates,
        f"what was kept of {event.cls}{ago} is no copy: all {count(event.keys, 'tensor')} share the model's memory and "
        "have changed with it. Loading them back changes nothing, the model keeps its newest weights",
        facts={"model": event.cls, "tensors": event.keys, "updates since": event.since if event.since > 0 else None},
        remedy="- {line}\n+ ... = copy.deepcopy(model.state_dict())",
    )


def _tell_kept(left: ev.StateKept) -> Found:
    return found(
        (left.taken_file, left.taken_line),
        left.update,
        f"the state of {left.cls} that is kept here after {count(left.update, 'update')} is no copy: it shares the "
        f"model's memory, and {count(left.since, 'update')} have changed it since",
        facts={"model": left.cls, "kept as": left.name, "updates since": left.since},
        remedy="- {line}\n+ ... = copy.deepcopy(model.state_dict())",
        evidence="strong" if "best" in left.name.lower() or left.conditional else "hint",
    )


def bad() -> None:
    import torch
    from torch import nn

    torch.manual_seed(0)
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    inputs = torch.randn(64, 4)
    targets = (inputs[:, 0] > 0).long()
    best, lowest = model.state_dict(), float("inf")
    for index in torch.randperm(64).split(16):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(inputs[index]), targets[index])
        if loss.item() < lowest:
            best, lowest = model.state_dict(), loss.item()  # fires
        loss.backward()
        optimizer.step()
    model.load_state_dict(best)


def good() -> None:
    import copy

    import torch
    from torch import nn

    torch.manual_seed(0)
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    inputs = torch.randn(64, 4)
    targets = (inputs[:, 0] > 0).long()
    best, lowest = copy.deepcopy(model.state_dict()), float("inf")
    for index in torch.randperm(64).split(16):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(inputs[index]), targets[index])
        if loss.item() < lowest:
            best, lowest = copy.deepcopy(model.state_dict()), loss.item()
        loss.backward()
        optimizer.step()
    model.load_state_dict(best)
