"""A run is resumed from a checkpoint, but not all that the checkpoint holds is restored.

What it sees: a checkpoint with the state of an optimizer (or scheduler, or scaler) in it is read, the model is loaded
from it, and training goes on without that state: the counter in the checkpoint is used, or other states
of it are restored, so that it is no mere fine-tuning.

Why it hurts: Adam's moments and momentum begin at zero, a schedule begins anew with its warm-up: the loss jumps
and the run is not the one that was interrupted.

What to do: `optimizer.load_state_dict(...)`, and the same for scheduler and scaler.

When to ignore it: where you begin a new training from these weights.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from stepscope.checking.rule import NothingToJudge, Rule, found
from stepscope.checking.words import listed
from stepscope.record import events as ev

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepscope.checking.rule import Found
    from stepscope.record.run import RankRun, Run

RULE = Rule(phase="state", evidence="strong", severity="warning")

_STATES = ("optimizer", "scheduler", "scaler")


@dataclass
class _Reading:
    """A checkpoint that was read, what was restored before the next step, and what was used then."""

    event: ev.CheckpointMoved
    update: int
    restored: list[ev.StateMoved] = field(default_factory=list)
    used: set[str] = field(default_factory=set)

    def lost(self) -> list[str]:
        """The sorts of state that it held, that training used, and that were not restored."""
        held = set(self.event.contents.values())
        got = {moved.what for moved in self.restored}
        return [what for what in _STATES if what in held and what in self.used and what not in got]


def check(run: Run) -> Iterator[Found]:
    main = run.main
    readings = _readings(main)
    if not readings:
        raise NothingToJudge("no checkpoint with more than weights was read")
    for reading in readings:
        lost = reading.lost()
        model = next((moved for moved in reading.restored if moved.what == "model"), None)
        if lost and model is not None and _is_resumed(main, reading):
            yield _tell(reading, model, lost)
            return


def _readings(main: RankRun) -> list[_Reading]:
    readings: list[_Reading] = []
    updates = stepped_at = 0
    for event in main.events:
        current = readings[-1] if readings else None
        if isinstance(event, ev.CheckpointMoved) and event.action == "loaded":
            if {"optimizer", "scheduler", "scaler"} & set(event.contents.values()):
                readings.append(_Reading(event, updates + 1))
                stepped_at = updates
        elif isinstance(event, ev.OptimizerStepped):
            updates += 1
            if current is not None and _has_state(main, event.optimizer):
                current.used.add("optimizer")
        elif current is None:
            continue
        elif isinstance(event, ev.StateMoved) and event.action == "loaded" and updates == stepped_at:
            current.restored.append(event)
        elif isinstance(event, ev.SchedulerStepped):
            current.used.add("scheduler")
        elif isinstance(event, ev.ScalerUsed):
            current.used.add("scaler")
    return readings


def _has_state(main: RankRun, optimizer: str) -> bool:
    seen = main.optimizers[optimizer]
    return seen.cls != "SGD" or any(group.options.get("momentum") for group in seen.groups)


def _is_resumed(main: RankRun, reading: _Reading) -> bool:
    """Whether training goes on where it was: by its counter, or because other states were restored."""
    if any(moved.what in _STATES for moved in reading.restored):
        return True
    saved = {e.path for e in main.of(ev.CheckpointMoved) if e.action == "saved" and e.path is not None}
    counted = any(reading.event.contents.get(name) == "counter" for name in reading.event.read)
    return counted or reading.event.path in saved


def _tell(reading: _Reading, model: ev.StateMoved, lost: list[str]) -> Found:
    restored: list[str] = list(dict.fromkeys(moved.what for moved in reading.restored))
    entries = [name for name, what in reading.event.contents.items() if what in lost]
    cost = {
        "optimizer": "its moments begin at zero",
        "scheduler": "its learning rates begin anew",
        "scaler": "its loss scale begins anew",
    }
    sure = len(restored) > 1 or "optimizer" in lost
    return found(
        model,
        reading.update,
        f"the checkpoint holds the state of the {listed(lost)} ({listed(entries)}), but only the {listed(restored)} "
        f"{'was' if len(restored) == 1 else 'were'} restored from it: training goes on, and {cost[lost[0]]}",
        facts={"held": entries, "restored": list(restored), "lost": list(lost)},
        remedy=f"  {{line}}\n+ {lost[0]}.load_state_dict(checkpoint['{entries[0]}'])",
        evidence="strong" if sure else "hint",
    )


def bad() -> None:
    import io

    import torch
    from torch import nn

    torch.manual_seed(0)
    inputs = torch.randn(64, 4)
    targets = (inputs[:, 0] > 0).long()
    file = io.BytesIO()
    step = 0
    for until in (3, 6):  # the second time stands for a job that picks up again
        model = nn.Linear(4, 2)
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        if step:
            file.seek(0)
            checkpoint = torch.load(file)
            model.load_state_dict(checkpoint["model"])  # fires
            step = checkpoint["step"]
        for index in torch.randperm(64)[: 16 * (until - step)].split(16):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(inputs[index]), targets[index]).backward()
            optimizer.step()
            step += 1
        torch.save({"step": step, "model": model.state_dict(), "optimizer": optimizer.state_dict()}, file)


def good() -> None:
    import io

    import torch
    from torch import nn

    torch.manual_seed(0)
    inputs = torch.randn(64, 4)
    targets = (inputs[:, 0] > 0).long()
    file = io.BytesIO()
    step = 0
    for until in (3, 6):  # the second time stands for a job that picks up again
        model = nn.Linear(4, 2)
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        if step:
            file.seek(0)
            checkpoint = torch.load(file)
            model.load_state_dict(checkpoint["model"])
            optimizer.load_state_dict(checkpoint["optimizer"])
            step = checkpoint["step"]
        for index in torch.randperm(64)[: 16 * (until - step)].split(16):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(inputs[index]), targets[index]).backward()
            optimizer.step()
            step += 1
        torch.save({"step": step, "model": model.state_dict(), "optimizer": optimizer.state_dict()}, file)
