"""What several rules ask of the record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stepscope.record import events as ev

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepscope.record.look import GatheringLook
    from stepscope.record.run import RankRun
    from stepscope.record.updates import Update


def held_by(main: RankRun, optimizer: str) -> set[str]:
    """The ids of the parameters that an optimizer holds."""
    seen = main.optimizers.get(optimizer)
    return {parameter for group in seen.groups for parameter in group.parameters} if seen else set()


def parameter_names(main: RankRun) -> dict[str, str]:
    """The name of every parameter, by its id."""
    infos = [info for optimizer in main.optimizers.values() for info in optimizer.parameters]
    infos += [info for model in main.models.values() for info in model.parameters]
    return {info.id: info.name for info in infos}


def timeline(main: RankRun, *also: type[ev.Event]) -> Iterator[tuple[int, ev.AnyEvent]]:
    """What happened to gradients and weights in order, each with the number of the update it led to.

    Backwards, clearings, clippings, loss scaling and outermost steps, and ``also`` events of other
    kinds. What no update took up
    carries the number of the one after the last that had ended by then.
    """
    numbers = {id(event): update.index for update in main.updates for event in update.events}
    last = 0
    kinds: tuple[type[ev.Event], ...] = (*_GRADIENT_EVENTS, *also)
    for event in main.events:
        if not isinstance(event, kinds) or (isinstance(event, ev.OptimizerStepped) and event.within):
            continue
        last = numbers.get(id(event), last)
        yield numbers.get(id(event), last + 1), event


def steps_in_threads(main: RankRun) -> bool:
    """Whether several threads step: what one of them does to a gradient is nothing to another's order."""
    return len({event.thread for event in main.of(ev.OptimizerStepped)}) > 1


_GRADIENT_EVENTS = (
    ev.Backward,
    ev.GradComputed,
    ev.GradientsCleared,
    ev.GradientsClipped,
    ev.ScalerUsed,
    ev.OptimizerStepped,
)


def gathered(update: Update, owner: str) -> list[GatheringLook]:
    """What each measured backward of an update did to the gradients of ``owner``; empty without a close look."""
    return [look for look in update.look.gathered if look.owner == owner] if update.look is not None else []


@dataclass(frozen=True)
class Discard:
    """A step that found no gradients although backward had filled some: they were cleared in between."""

    update: int
    backward: ev.Backward
    cleared: ev.GradientsCleared
    step: ev.OptimizerStepped


def discards(main: RankRun, owner: str) -> Iterator[Discard]:
    """The steps of an optimizer whose gradients had been filled for it alone, and cleared, before it."""
    filled: ev.Backward | None = None
    cleared: ev.GradientsCleared | None = None
    for number, event in timeline(main):
        if isinstance(event, ev.Backward) and owner in event.owners:
            filled, cleared = event, None
        elif isinstance(event, ev.GradientsCleared) and owner in event.owners and filled is not None:
            cleared = cleared or event
        elif isinstance(event, ev.OptimizerStepped):
            if event.optimizer == owner:
                if filled is not None and cleared is not None and event.fresh == 0 == event.again:
                    yield Discard(number, filled, cleared, event)
                filled = cleared = None
            elif filled is not None and event.optimizer in filled.owners and event.fresh != 0:
                filled = cleared = None  # another optimizer has used it: a generator's loss goes through its critic


def update_of(main: RankRun, event: ev.AnyEvent) -> Update | None:
    """The update that ``event`` belongs to; None where it led to none."""
    return next((update for update in main.updates if any(other is event for other in update.events)), None)


def in_framework(main: RankRun, event: ev.AnyEvent) -> bool:
    """Whether ``event`` happened inside a framework's loop: its line is also the line of the step."""
    return any((s.file, s.line) == (event.file, event.line) for update in main.updates for s in update.steps)
