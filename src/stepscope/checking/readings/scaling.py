"""Which gradients carry a loss scale, and whether a GradScaler took it out again."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from stepscope.checking.readings.loop import timeline
from stepscope.record import events as ev

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepscope.record.run import RankRun


@dataclass(frozen=True)
class Scaled:
    """A clipping or a step that met gradients which still carry the loss scale.

    ``scale`` is None where it was not read (on a GPU). ``mixed``: a backward of a loss that was not
    scaled, into gradients that are, and that a GradScaler will divide.
    """

    update: int
    event: ev.GradientsClipped | ev.OptimizerStepped | ev.Backward
    owner: str
    scale: float | None
    mixed: bool = False


@dataclass
class _Gradients:
    """What stands in the gradients of one optimizer's parameters."""

    scaled: bool = False
    scale: float | None = None
    by_scaler: bool = False  # the scaler itself is about to step
    plain: list[tuple[int, ev.Backward]] = field(default_factory=list)


def meetings(main: RankRun) -> Iterator[Scaled]:
    """Every clipping and every step that met scaled gradients, in order."""
    state: dict[str, _Gradients] = {}
    pending: list[float | None] = []
    for number, event in timeline(main):
        if isinstance(event, ev.ScalerUsed):
            yield from _scaler(event, state, pending)
        elif isinstance(event, ev.Backward) and not event.failed:
            _backward(number, event, state, pending)
        elif isinstance(event, ev.GradientsCleared):
            for owner in event.owners:
                state.pop(owner, None)
        elif isinstance(event, ev.GradientsClipped):
            met = [(owner, state[owner]) for owner in event.owners if owner in state]
            yield from (Scaled(number, event, owner, held.scale) for owner, held in met if held.scaled)
        elif isinstance(event, ev.OptimizerStepped):
            held = state.pop(event.optimizer, _Gradients())
            if held.scaled and not held.by_scaler:
                yield Scaled(number, event, event.optimizer, held.scale)


def _scaler(event: ev.ScalerUsed, state: dict[str, _Gradients], pending: list[float | None]) -> Iterator[Scaled]:
    scale = None if event.scale is None else float(event.scale)
    if event.action == "scale":
        pending.append(scale)
        return
    held = state.get(event.optimizer or "")
    if held is None:
        return
    if event.action in {"unscale", "step"}:
        if held.scaled:
            for number, backward in held.plain:
                yield Scaled(number, backward, event.optimizer or "", held.scale, mixed=True)
        held.plain = []
        held.scaled, held.by_scaler = False, True


def _backward(number: int, event: ev.Backward, state: dict[str, _Gradients], pending: list[float | None]) -> None:
    scaled = bool(pending)
    scale = pending.pop(0) if pending else None
    for owner in event.owners:
        held = state.setdefault(owner, _Gradients())
        if scaled:
            held.scaled, held.scale = True, scale
        else:
            held.plain.append((number, event))
