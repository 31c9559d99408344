"""A learning-rate scheduler was made, and nobody steps it.

What it sees: a scheduler, its optimizer stepping through whole epochs, and not one `scheduler.step()`; or a
scheduler that steps for an optimizer that does not train, while another one trains the same parameters.

Why it hurts: the learning rate stays where it began (or at the first value of a warm-up). Training never
anneals.

What to do: call `scheduler.step()` (with the parentheses) once per epoch, or per update, as the schedule counts;
return it from `configure_optimizers` in Lightning.

When to ignore it: where the schedule is meant to begin later than was watched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepscope.checking.readings.loop import held_by
from stepscope.checking.readings.schedules import finished, schedules
from stepscope.checking.rule import NothingToJudge, Rule, found
from stepscope.checking.words import count, figure
from stepscope.record.events import OptimizerSeen

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepscope.checking.readings.schedules import Schedule
    from stepscope.checking.rule import Found
    from stepscope.record.run import RankRun, Run

RULE = Rule(phase="schedule", evidence="strong", severity="warning")

#: An optimizer that stepped so often without any loader might have had its schedule stepped.
STEPS = 100


def check(run: Run) -> Iterator[Found]:
    main = run.main
    known = schedules(main)
    if not any(schedule.steps for schedule in known) and len(main.optimizers) < 2:
        raise NothingToJudge("no optimizer with a scheduler stepped")
    stepped = {schedule.seen.optimizer for schedule in known if schedule.ticks}
    told: set[str | None] = set()
    for schedule in known:
        owner = schedule.seen.optimizer
        if owner is None or owner in told or schedule.seen.options.get("patience") is not None:
            continue
        if owner not in stepped and schedule.steps:
            evidence = _sureness(main, schedule)
            if evidence:
                told.add(owner)
                yield _tell_idle(main, schedule, sure=evidence == "strong")
        elif schedule.ticks and not schedule.steps:
            yield from _tell_elsewhere(main, schedule, known)


def _sureness(main: RankRun, schedule: Schedule) -> str:
    """How sure it is that it would not have been stepped later."""
    steps = len(schedule.steps)
    if finished(main):
        return "strong" if steps > 1 else ""
    if schedule.passes:
        more = len(schedule.steps) > schedule.batches  # the next epoch has begun without it
        return "strong" if schedule.passes > 1 or more else ""
    return "hint" if steps >= STEPS else ""


def _tell_idle(main: RankRun, schedule: Schedule, *, sure: bool) -> Found:
    optimizer = main.optimizer_name(schedule.seen.optimizer or "")
    epochs = f" in {count(schedule.passes, 'epoch')}" if schedule.passes else ""
    return found(
        schedule.seen,
        main.updates[-1].index if main.updates else 0,
        f"{schedule.seen.cls} was never stepped: {optimizer} made {count(len(schedule.steps), 'update')}{epochs}, all "
        f"at the learning rate {figure(schedule.start)}",
        facts={"scheduler": schedule.seen.cls, "updates": len(schedule.steps), "rate": schedule.start},
        remedy="  {line}\n+ scheduler.step()  # after the updates that the schedule counts",
        evidence="strong" if sure else "hint",
    )


def _tell_elsewhere(main: RankRun, schedule: Schedule, known: list[Schedule]) -> Iterator[Found]:
    """It steps, for an optimizer that is no longer the one that trains."""
    owner = schedule.seen.optimizer or ""
    served = {other.seen.optimizer for other in known}
    made = {seen.id for seen in main.of(OptimizerSeen) if seen.made}
    for other in sorted(made) if owner in made else ():
        shared = held_by(main, owner) & held_by(main, other)
        steps = sum(step.optimizer == other for update in main.updates for step in update.steps)
        if other != owner and other not in served and shared and steps > 1 and len(schedule.ticks) > 1:
            yield found(
                schedule.seen,
                main.updates[-1].index,
                f"{schedule.seen.cls} schedules an optimizer that never steps; another one, "
                f"{main.optimizer_name(other)}, trains the same {count(len(shared), 'parameter')}, and its learning "
                "rate is not scheduled",
                facts={"scheduler": schedule.seen.cls, "optimizer": main.optimizer_name(other), "updates": steps},
                remedy="- {line}\n+ scheduler = ...  # for the optimizer that steps",
                evidence="strong",
            )
            return


def bad() -> None:
    import torch
    from torch import nn

    torch.manual_seed(0)
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.5)  # fires
    inputs = torch.randn(64, 4)
    targets = (inputs[:, 0] > 0).long()
    for _ in range(3):
        for index in torch.randperm(64).split(16):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(inputs[index]), targets[index]).backward()
            optimizer.step()
        scheduler.step  # noqa: B018  # the parentheses are missing


def good() -> None:
    import torch
    from torch import nn

    torch.manual_seed(0)
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.5)
    inputs = torch.randn(64, 4)
    targets = (inputs[:, 0] > 0).long()
    for _ in range(3):
        for index in torch.randperm(64).split(16):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(inputs[index]), targets[index]).backward()
            optimizer.step()
        scheduler.step()
