"""The optimizer is made anew for every epoch or every batch, and forgets its state each time.

What it sees: optimizers of the same kind, for the same parameters, made one after the other on the same line; each
lives for one epoch, or for one step. Momentum and the second moments of Adam begin at zero every time.

Why it hurts: Adam's first steps after a start are of full size in every direction, whatever the gradients say;
momentum never builds up. A scheduler that holds the first optimizer has no effect at all.

What to do: make the optimizer once, before the loop.

When to ignore it: warm restarts and new phases that are meant to begin without history.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stepscope.checking.rule import NothingToJudge, Rule, found
from stepscope.checking.words import count
from stepscope.record import events as ev

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepscope.checking.rule import Found
    from stepscope.record.run import RankRun, Run

RULE = Rule(phase="trained", evidence="strong", severity="warning")

#: So many in a row are a habit.
LIVES = 3


@dataclass
class _Life:
    """An optimizer from its making to the making of the next: how often it stepped, over how many passes."""

    made: ev.OptimizerSeen
    steps: int = 0
    passes: int = 0
    first: int = 0
    reloaded: bool = False


def check(run: Run) -> Iterator[Found]:
    main = run.main
    lives = _lives(main)
    if not lives:
        raise NothingToJudge("no optimizer was made while this was watched")
    rows: dict[object, list[_Life]] = {}
    for life in lives:
        if life.steps and _has_state(life.made):
            groups = [(tuple(group.parameters), group.options.get("lr")) for group in life.made.groups]
            rows.setdefault((life.made.file, life.made.line, life.made.cls, str(groups)), []).append(life)
    for row in rows.values():
        if len(row) >= LIVES and not any(life.reloaded for life in row[1:]):
            yield from _tell(main, row)


def _lives(main: RankRun) -> list[_Life]:
    lives: dict[str, _Life] = {}
    updates = 0
    for event in main.events:
        match event:
            case ev.OptimizerSeen(made=True):
                lives[event.id] = _Life(event)
            case ev.OptimizerStepped() if event.optimizer in lives:
                life = lives[event.optimizer]
                life.steps += 1
                updates += 1
                life.first = life.first or updates
            case ev.PassEnded() if event.batches and lives:
                newest = list(lives.values())[-1]
                newest.passes += newest.steps >= event.batches > 0
            case ev.StateMoved(action="loaded") if lives:
                list(lives.values())[-1].reloaded = True
            case ev.Stretch():
                break
            case _:
                pass
    return list(lives.values())


def _has_state(made: ev.OptimizerSeen) -> bool:
    if made.cls == "LBFGS":
        return False  # it does well with a few steps for each batch
    return made.cls != "SGD" or any(group.options.get("momentum") for group in made.groups)


def _tell(main: RankRun, row: list[_Life]) -> Iterator[Found]:
    whole = row[:-1]  # the last one may still be at it
    if all(life.steps == 1 for life in whole):
        each, evidence = "every update", "strong"
    elif all(life.passes == 1 for life in whole):
        each, evidence = "every epoch", "strong"
    else:
        ends = {life.first - 1 for life in row[1:]}
        if len({life.steps for life in whole}) > 1 or not ends <= {e.after for e in main.evaluations}:
            return
        each, evidence = count(whole[0].steps, "update"), "hint"
    made = row[0].made
    name = main.optimizer_name(made.id)
    yield found(
        made,
        row[1].first,
        f"{made.cls} is made anew for {each}: {count(len(row), 'time')} for the same "
        f"{count(len(made.groups[0].parameters), 'parameter')}. Its state (moments, momentum) begins at zero each time",
        facts={"optimizer": name, "times": len(row), "steps of each": whole[0].steps},
        remedy="- {line}\n+ # make it once, before the loop",
        evidence="strong" if evidence == "strong" else "hint",
    )


def bad() -> None:
    import torch
    from torch import nn

    torch.manual_seed(0)
    model = nn.Linear(4, 2)
    inputs = torch.randn(64, 4)
    targets = (inputs[:, 0] > 0).long()
    for index in torch.randperm(64).split(16):
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)  # fires
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(inputs[index]), targets[index]).backward()
        optimizer.step()


def good() -> None:
    import torch
    from torch import nn

    torch.manual_seed(0)
    model = nn.Linear(4, 2)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    inputs = torch.randn(64, 4)
    targets = (inputs[:, 0] > 0).long()
    for index in torch.randperm(64).split(16):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(inputs[index]), targets[index]).backward()
        optimizer.step()
