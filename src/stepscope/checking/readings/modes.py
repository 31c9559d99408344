"""What the rules about training and evaluation mode ask of the record."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepscope.checking.readings.loop import held_by
from stepscope.checking.words import count
from stepscope.record.events import BatchFetched, ModelCalled, OptimizerStepped

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepscope.record.events import LayerModes
    from stepscope.record.run import RankRun
    from stepscope.record.updates import Evaluation, Update


def differs_by_mode(call: ModelCalled) -> bool:
    """Whether the called model has anything that works differently in training and in evaluation."""
    modes = call.modes
    return modes is not None and (active(modes) or idle(modes))


def active(modes: LayerModes) -> bool:
    """Whether any of its layers works as in training."""
    return bool(modes.dropouts_on or modes.norms_on or modes.dropped)


def idle(modes: LayerModes) -> bool:
    """Whether any of its layers works as in evaluation."""
    return bool(modes.dropouts_off or modes.norms_off or modes.passed)


def training_calls(main: RankRun) -> Iterator[tuple[Update, ModelCalled]]:
    """The calls that an update trained by: of models whose parameters its optimizers hold, or nobody does."""
    for update in main.updates:
        held = {p for owner in update.owners for p in held_by(main, owner)}
        for made in update.rounds:
            for call in made.calls:
                seen = main.models.get(call.model)
                if not call.grad or call.criterion or call.failed or seen is None:
                    continue
                own = {info.id for info in seen.parameters}
                if own & held or (own and not update.owners):
                    yield update, call


def evaluation_calls(main: RankRun) -> Iterator[tuple[Evaluation, ModelCalled]]:
    """The calls of evaluations, of models that share parameters with what some optimizer trains."""
    trained = {p for update in main.updates for owner in update.owners for p in held_by(main, owner)}
    for evaluation in main.evaluations:
        for call in evaluation.calls:
            seen = main.models.get(call.model)
            if call.criterion or call.failed or seen is None:
                continue
            if any(info.id in trained for info in seen.parameters):
                yield evaluation, call


def fed_by(main: RankRun) -> dict[int, str]:
    """Which loader handed out a batch between the last update and a call, by the call's ``id()``."""
    sources: dict[int, str] = {}
    latest: dict[int, str | None] = {}
    for event in main.events:
        if isinstance(event, BatchFetched):
            latest[event.thread] = event.loader
        elif isinstance(event, OptimizerStepped):
            latest[event.thread] = None
        elif isinstance(event, ModelCalled):
            loader = latest.get(event.thread)
            if loader is not None:
                sources[id(event)] = loader
    return sources


def sampled_repeatedly(calls: list[ModelCalled]) -> bool:
    """Whether most of ``calls`` were given the very batch of the call before: somebody draws samples."""
    return 3 * sum(call.repeated for call in calls) >= 2 * len(calls) > 0


def layers_off(modes: LayerModes) -> str:
    """The layers that work as in evaluation, in words."""
    return _layers(modes.dropouts_off, modes.passed, modes.norms_off)


def layers_on(modes: LayerModes) -> str:
    """The layers that work as in training, in words."""
    return _layers(modes.dropouts_on, modes.dropped, modes.norms_on)


def _layers(dropouts: int, calls: int, norms: int) -> str:
    parts = []
    if dropouts:
        parts.append(count(dropouts, "dropout layer"))
    elif calls:
        parts.append(count(calls, "dropout"))
    if norms:
        parts.append(count(norms, "batch norm"))
    return " and ".join(parts)
