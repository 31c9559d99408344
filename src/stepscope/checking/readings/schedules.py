"""What several rules ask about learning-rate schedulers: when they stepped, counted in updates."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from stepscope.checking.readings.loop import held_by
from stepscope.checking.rule import NothingToJudge
from stepscope.record import events as ev

if TYPE_CHECKING:
    from stepscope.record.run import RankRun


@dataclass
class Tick:
    """One step of a scheduler: after how many steps of its optimizer, backwards, and passes over loaders."""

    event: ev.SchedulerStepped
    steps: int
    rounds: int
    passes: int
    skipped: int

    @property
    def rate(self) -> float:
        """The learning rate of the first group from here on."""
        return float(self.event.rates[0]) if self.event.rates else 0.0


@dataclass
class Schedule:
    """A scheduler and all that was noted one by one of its steps and its optimizer's.

    ``owners`` are its optimizer and what that one wraps; ``steps`` are theirs; ``skipped`` counts those
    that a GradScaler held back, ``passes`` the passes that ended over loaders that fed the training;
    ``batches`` is how many steps the first of these had (0: none ended).
    """

    seen: ev.SchedulerSeen
    owners: set[str] = field(default_factory=set)
    ticks: list[Tick] = field(default_factory=list)
    steps: list[ev.OptimizerStepped] = field(default_factory=list)
    rounds: int = 0
    passes: int = 0
    batches: int = 0
    skipped: int = 0

    @property
    def per_step(self) -> float:
        """How many times it stepped for one step of its optimizer."""
        return len(self.ticks) / len(self.steps) if self.steps else 0.0

    @property
    def start(self) -> float:
        """The first learning rate that was used."""
        return float(self.steps[0].rates[0]) if self.steps and self.steps[0].rates else 0.0


def schedules(main: RankRun) -> list[Schedule]:
    """The schedulers of a run; raises NothingToJudge where there is none."""
    known: dict[str, Schedule] = {}
    for seen in main.of(ev.SchedulerSeen):
        known.setdefault(seen.id, Schedule(seen, _owners(main, seen.optimizer)))
    # One that was not seen being made (SequentialLR) has been there for longer than it is known.
    begun = {id_ for id_, schedule in known.items() if not schedule.seen.made}
    for event in main.events:
        if isinstance(event, ev.SchedulerSeen):
            begun.add(event.id)
        elif isinstance(event, ev.Stretch):
            break
        for id_ in begun:
            _count(known[id_], event)
    if not known:
        raise NothingToJudge("no learning-rate scheduler was made")
    return list(known.values())


def _owners(main: RankRun, optimizer: str | None) -> set[str]:
    """The optimizer; where it only wraps another one (Accelerate's does), that one as well."""
    if optimizer is None:
        return set()
    made = {seen.id for seen in main.of(ev.OptimizerSeen) if seen.made}
    if optimizer in made:
        return {optimizer}
    return {optimizer, *(one for one in made if held_by(main, one) == held_by(main, optimizer))}


def _count(schedule: Schedule, event: ev.AnyEvent) -> None:
    match event:
        case ev.SchedulerStepped(scheduler=schedule.seen.id):
            schedule.ticks.append(Tick(event, len(schedule.steps), schedule.rounds, schedule.passes, schedule.skipped))
        case ev.OptimizerStepped() if event.optimizer in schedule.owners:
            schedule.steps.append(event)
        case ev.ScalerUsed(action="skip") if event.optimizer in schedule.owners:
            schedule.skipped += 1
        case ev.Backward() if schedule.owners & set(event.owners):
            schedule.rounds += 1
        case ev.PassEnded() if event.batches and schedule.rounds and schedule.steps:
            trained = len(schedule.steps) - schedule.batches * schedule.passes
            if schedule.passes == 0:
                schedule.batches = len(schedule.steps)
                schedule.passes = 1
            elif trained > 0:  # a pass that trained nothing was an evaluation's
                schedule.passes += 1
        case _:
            pass


def where(schedule: Schedule, tick: Tick) -> ev.SchedulerStepped | ev.SchedulerSeen:
    """Where to look: the line that steps the scheduler, or that makes it where a framework steps it."""
    of_framework = {step.line for step in schedule.steps} & {tick.event.line}
    return schedule.seen if of_framework or not tick.event.line else tick.event


def update_of(main: RankRun, event: ev.Event) -> int:
    """The number of the update that an event belongs to, or that had been made by then."""
    done = 0
    for update in main.updates:
        if update.events and update.events[-1].at >= event.at:
            return update.index
        done = update.index
    return done


def finished(main: RankRun) -> bool:
    """Whether the script ran to its end, so that what it never did it would never have done."""
    return main.ended is not None and main.ended.reason == "finished"
