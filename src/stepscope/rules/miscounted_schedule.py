"""A schedule that counts in epochs is stepped for every batch, or the other way round.

What it sees: a decay that has taken the learning rate below a hundredth long before the epoch (or half the
run) is over; a cosine that goes up and down within an epoch; a schedule stepped for every
micro-batch that gradients are accumulated over; a schedule made for all batches of the run, stepped once per epoch.

Why it hurts: training stops learning almost at once, or never leaves the warm-up.

What to do: step a schedule where its numbers say: after each epoch, or after each optimizer step.

When to ignore it: where the schedule's numbers do count what you step it for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepscope.checking.readings.schedules import finished, schedules, update_of, where
from stepscope.checking.rule import NothingToJudge, Rule, found
from stepscope.checking.words import count, figure

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepscope.checking.finding import Evidence
    from stepscope.checking.readings.schedules import Schedule, Tick
    from stepscope.checking.rule import Found
    from stepscope.record.run import RankRun, Run

RULE = Rule(phase="schedule", evidence="strong")

#: A rate below this share of the highest so far hardly trains any more.
GONE = 0.01
#: Schedules that only ever go down, by a factor.
DECAYS = {"StepLR", "MultiStepLR", "ExponentialLR", "MultiplicativeLR", "LambdaLR"}
#: What schedules call their length.
LENGTHS = ("total_steps", "T_max", "total_iters")


def check(run: Run) -> Iterator[Found]:
    main = run.main
    known = [s for s in schedules(main) if len(s.ticks) > 1 and len(s.steps) > 1]
    if not known:
        raise NothingToJudge("no scheduler stepped along with its optimizer")
    for schedule in known:
        told = (ask(main, schedule) for ask in (_micro_steps, _gone, _cycles, _per_epoch))
        yield from [one for one in told if one is not None][:1]


def _gone(main: RankRun, schedule: Schedule) -> Found | None:
    """The rate is as good as zero before the first epoch, or a third of the run, is over."""
    if schedule.per_step < 0.9 or schedule.seen.cls not in DECAYS:
        return None
    highest = schedule.start
    gone: Tick | None = None
    for tick in schedule.ticks:
        highest = max(highest, tick.rate)
        if tick.rate >= GONE * highest:
            gone = None
        elif gone is None:
            gone = tick
    total = len(schedule.steps)
    if gone is None or total - gone.steps < 2 * gone.steps:
        return None
    if schedule.batches and gone.steps > schedule.batches:
        return None
    epoch = f"; an epoch has {schedule.batches:,}" if schedule.batches else ""
    message = (
        f"{schedule.seen.cls} is stepped after every update: after {count(gone.steps, 'update')} the learning rate was "
        f"below 1 % of what it was ({figure(gone.rate)} of {figure(highest)}){epoch}. {total - gone.steps:,} of "
        f"{total:,} updates went by with next to none"
    )
    sure = schedule.batches > 0 and schedule.seen.cls != "LambdaLR"
    return _tell(main, schedule, gone, message, "strong" if sure else "hint", when="once per epoch")


def _cycles(main: RankRun, schedule: Schedule) -> Found | None:
    """A cosine that has come down goes up again within the first epoch."""
    length = schedule.seen.options.get("T_max")
    if schedule.seen.cls != "CosineAnnealingLR" or not isinstance(length, int) or schedule.per_step < 0.9:
        return None
    turns = len(schedule.ticks) // max(length, 1)
    if turns < 3 or not schedule.batches or 2 * length > schedule.batches:
        return None
    message = (
        f"CosineAnnealingLR(T_max={length}) is stepped after every update, and an epoch has {schedule.batches:,}: the "
        f"learning rate has gone up and down again, {turns:,} half waves in {count(len(schedule.ticks), 'step')}"
    )
    return _tell(main, schedule, schedule.ticks[length], message, "strong", when="once per epoch")


def _micro_steps(main: RankRun, schedule: Schedule) -> Found | None:
    """It is stepped for each backward of an accumulation."""
    times = round(schedule.rounds / len(schedule.steps))
    if times < 2 or round(schedule.per_step) != times:
        return None
    micro, steps = len(schedule.ticks), len(schedule.steps)
    length = _length(schedule)
    peak = max([schedule.start, *(tick.rate for tick in schedule.ticks)])
    last = schedule.ticks[-1].rate
    over = next((n for n, tick in enumerate(schedule.ticks) if all(t.rate == last for t in schedule.ticks[n:])), micro)
    evidence: Evidence = "hint"
    if finished(main) and last < 0.1 * peak and over < micro / 2:
        evidence = "strong"
    elif length is not None and finished(main):
        if abs(length - steps) > 0.1 * steps:
            return None  # its length counts micro-batches, as it is stepped
        evidence = "strong"
    elif length is not None and schedule.batches and length % (schedule.batches * times) == 0:
        return None
    message = (
        f"{schedule.seen.cls} is stepped {times} times for each update, once for each backward that is accumulated: "
        f"{micro:,} times in {count(steps, 'update')}"
    )
    if evidence == "strong" and over < micro / 2:
        done = count(schedule.ticks[over].steps, "update")
        message += f". After {done} it was at its end, at a rate of {figure(last)}"
    return _tell(main, schedule, schedule.ticks[0], message, evidence, when="only after optimizer.step()")


def _per_epoch(main: RankRun, schedule: Schedule) -> Found | None:
    """A schedule as long as the run has batches is stepped once per epoch."""
    length, batches = _length(schedule), schedule.batches
    if length is None or batches < 2 or schedule.per_step > 1.5 / batches or schedule.passes > len(schedule.ticks) + 1:
        return None
    steps = len(schedule.steps)
    one_cycle = schedule.seen.cls == "OneCycleLR"
    if finished(main):
        whole = length == steps and steps > len(schedule.ticks)
    else:
        whole = one_cycle and length % batches == 0 and length >= 2 * batches
    if not whole:
        return None
    last = schedule.ticks[-1].rate
    message = (
        f"{schedule.seen.cls} was made for {length:,} steps, as many as there are batches, but is stepped once per "
        f"epoch of {batches:,}: {count(len(schedule.ticks), 'step')} in {count(steps, 'update')}, "
        f"and the learning rate has come from {figure(schedule.start)} to {figure(last)} only"
    )
    return _tell(main, schedule, schedule.ticks[0], message, "strong", when="after every optimizer.step()")


def _length(schedule: Schedule) -> int | None:
    lengths = [schedule.seen.options.get(name) for name in LENGTHS]
    return next((length for length in lengths if isinstance(length, int) and length > 1), None)


def _tell(  # noqa: PLR0913
    main: RankRun, schedule: Schedule, tick: Tick, message: str, evidence: Evidence, *, when: str
) -> Found:
    return found(
        where(schedule, tick),
        update_of(main, tick.event),
        message,
        facts={
            "scheduler": schedule.seen.cls,
            "scheduler steps": len(schedule.ticks),
            "optimizer steps": len(schedule.steps),
            "steps per epoch": schedule.batches,
        },
        remedy=f"- {{line}}\n+ scheduler.step()  # {when}",
        evidence=evidence,
    )


def bad() -> None:
    import torch
    from torch import nn
    from torch.utils.data import DataLoader, TensorDataset

    torch.manual_seed(0)
    inputs = torch.randn(96, 4)
    loader = DataLoader(TensorDataset(inputs, (inputs[:, 0] > 0).long()), batch_size=8, shuffle=True)
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.3)
    for _ in range(2):
        for batch, targets in loader:
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(batch), targets).backward()
            optimizer.step()
            scheduler.step()  # fires


def good() -> None:
    import torch
    from torch import nn
    from torch.utils.data import DataLoader, TensorDataset

    torch.manual_seed(0)
    inputs = torch.randn(96, 4)
    loader = DataLoader(TensorDataset(inputs, (inputs[:, 0] > 0).long()), batch_size=8, shuffle=True)
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.3)
    for _ in range(2):
        for batch, targets in loader:
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(batch), targets).backward()
            optimizer.step()
        scheduler.step()
