"""The scheduler steps before the optimizer has: the first learning rate is never used.

What it sees: `scheduler.step()` came before the first `optimizer.step()`, and goes on at that place, once for
each step or epoch. A fast-forward before the loop is something else, and so is a step that a GradScaler held back.

Why it hurts: the whole schedule is one step early; a warm-up or a first rate that matters is skipped.

What to do: step the optimizer first, then the scheduler.

When to ignore it: where the schedule was written for that order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepscope.checking.readings.schedules import schedules, update_of, where
from stepscope.checking.rule import NothingToJudge, Rule, found
from stepscope.checking.words import count, figure

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepscope.checking.readings.schedules import Schedule
    from stepscope.checking.rule import Found
    from stepscope.record.run import RankRun, Run

RULE = Rule(phase="schedule", evidence="proof", severity="warning")


def check(run: Run) -> Iterator[Found]:
    main = run.main
    known = [schedule for schedule in schedules(main) if schedule.ticks and schedule.steps]
    if not known:
        raise NothingToJudge("no scheduler stepped along with its optimizer")
    for schedule in known:
        if _comes_first(schedule):
            yield _tell(main, schedule)
            return


def _comes_first(schedule: Schedule) -> bool:
    first, *rest = schedule.ticks
    if first.steps or first.skipped or len({tick.event.line for tick in schedule.ticks}) > 1:
        return False
    # Just once before each step, or run of steps: not several times in a row, as when a resume catches up.
    befores = [tick.steps for tick in schedule.ticks]
    return len(set(befores)) == len(befores) and (bool(rest) or first.rounds > 0)


def _tell(main: RankRun, schedule: Schedule) -> Found:
    first = schedule.ticks[0]
    optimizer = main.optimizer_name(schedule.seen.optimizer or "")
    bases = schedule.seen.options.get("base_lrs")
    base = bases[0] if isinstance(bases, list) and bases else None
    skipped = f"{figure(base)} is never used, " if isinstance(base, (int, float)) and base != first.rate else ""
    return found(
        where(schedule, first),
        update_of(main, first.event),
        f"{schedule.seen.cls}.step() ran before the first {optimizer}.step(), and so "
        f"{count(len(schedule.ticks), 'time')}: {skipped}training begins with the schedule's second rate, "
        f"{figure(first.rate)}",
        facts={"scheduler": schedule.seen.cls, "first rate used": first.rate, "steps": len(schedule.ticks)},
        remedy=f"- {{line}}\n  {optimizer}.step()\n+ scheduler.step()",
    )


def bad() -> None:
    import torch
    from torch import nn

    torch.manual_seed(0)
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
    inputs = torch.randn(64, 4)
    targets = (inputs[:, 0] > 0).long()
    for _ in range(3):
        scheduler.step()  # fires
        for index in torch.randperm(64).split(16):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(inputs[index]), targets[index]).backward()
            optimizer.step()


def good() -> None:
    import torch
    from torch import nn

    torch.manual_seed(0)
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
    inputs = torch.randn(64, 4)
    targets = (inputs[:, 0] > 0).long()
    for _ in range(3):
        for index in torch.randperm(64).split(16):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(inputs[index]), targets[index]).backward()
            optimizer.step()
        scheduler.step()
