"""The training trace: loss and accuracy by epoch, each row with an observation its numbers support."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec

from stepscope.pipeline.document import Curve, EpochRow
from stepscope.record.numbers import Number, is_finite, to_float, to_number

if TYPE_CHECKING:
    from stepscope.record.run import RankRun
    from stepscope.record.updates import Epoch, Evaluation

#: Points of a curve that are kept for a chart.
MOST_POINTS = 400


def rows_of(run: RankRun) -> list[EpochRow]:
    """A row per epoch (or block of updates), with observations."""
    rows: list[EpochRow] = []
    for epoch in run.epochs:
        row = _row(run, epoch)
        rows.append(_observed(row, rows))
    return rows


def epochs_are(run: RankRun) -> str:
    """What a row stands for."""
    if run.main_loader is not None:
        return "epoch"
    size = run.epochs[0].last_update - run.epochs[0].first_update + 1 if run.epochs else 1
    return "update" if size == 1 else "updates"


def _row(run: RankRun, epoch: Epoch) -> EpochRow:
    by_loader = run.main_loader is not None
    first, last = (epoch.number, epoch.last_number) if by_loader else (epoch.first_update, epoch.last_update)
    tallies = epoch.tallies
    updates = sum(tally.updates for tally in tallies.values())
    known = sum(tally.known for tally in tallies.values())
    of = sum(tally.of for tally in tallies.values())
    only = next(iter(tallies.values())) if len(tallies) == 1 else None
    loss, accuracy = _evaluation(epoch.evaluations)
    return EpochRow(
        name=str(first) if first == last else f"{first}-{last}",
        first_update=epoch.first_update,
        last_update=epoch.last_update,
        updates=updates,
        loss=None if only is None or only.loss is None else to_number(only.loss),
        known=known,
        non_finite=sum(tally.non_finite for tally in tallies.values()),
        losses={}
        if only is not None
        else {run.optimizer_name(o): to_number(t.loss) for o, t in tallies.items() if t.loss is not None},
        accuracy=sum(tally.right for tally in tallies.values()) / of if of else None,
        judged=sum(tally.judged for tally in tallies.values()),
        evaluation_loss=loss,
        evaluation_accuracy=accuracy,
    )


def _evaluation(evaluations: list[Evaluation]) -> tuple[Number | None, float | None]:
    """Loss and accuracy of the last evaluation in an epoch that computed any."""
    for evaluation in reversed(evaluations):
        samples = sum(t.samples for t in evaluation.tallies if t.mean is not None)
        if not samples:
            continue
        mean = sum(to_float(t.mean) * t.samples for t in evaluation.tallies if t.mean is not None) / samples
        of = sum(t.of for t in evaluation.tallies)
        return to_number(mean), sum(t.right for t in evaluation.tallies) / of if of else None
    return None, None


def _observed(row: EpochRow, before: list[EpochRow]) -> EpochRow:
    return msgspec.structs.replace(row, observation=observe(row, before))


def observe(row: EpochRow, before: list[EpochRow]) -> str:
    """The most telling thing that can be said of ``row``, given the rows before it."""
    if row.loss is not None and not is_finite(row.loss):
        return "no loss is finite"
    if row.non_finite:
        return f"{row.non_finite} of {row.known + row.non_finite} losses are not finite"
    if row.loss is None:
        return _observe_several(row, before)
    earlier = [r for r in before if is_finite(r.loss)]
    if not earlier:
        return "the first"
    last, first, now = to_float(earlier[-1].loss), to_float(earlier[0].loss), to_float(row.loss)
    validation = _observe_validation(row, before)
    if validation:
        return validation
    text = _observe_change(last, now)
    overall = _relative(first, now)
    if text.startswith("fell") and len(earlier) > 1 and overall is not None and overall < 0:
        text += f", {_percent(-overall)} in all"
    return text


def _observe_change(last: float, now: float) -> str:
    """How the loss moved since the row before."""
    change = _relative(last, now)
    if change is None:
        return f"{last:.4g} -> {now:.4g}"
    if change == 0.0:
        return "did not move"
    if abs(change) < 0.0005:
        return f"hardly moved: {last:.6g} -> {now:.6g}"
    if change > 0:
        return f"rose {_percent(change)}" if change < 10 else f"rose to {now / last:.3g} times what it was"
    return f"fell {_percent(-change)}"


def _observe_several(row: EpochRow, before: list[EpochRow]) -> str:
    if not row.losses or not before or not before[-1].losses:
        return ""
    parts = []
    for name, value in row.losses.items():
        earlier = before[-1].losses.get(name)
        if is_finite(value) and is_finite(earlier):
            parts.append(f"{name} {to_float(earlier):.3g} -> {to_float(value):.3g}")
    return ", ".join(parts)


def _observe_validation(row: EpochRow, before: list[EpochRow]) -> str:
    """A remark on validation where training and validation part ways."""
    if not is_finite(row.evaluation_loss):
        return ""
    earlier = [(to_float(r.evaluation_loss), r.name) for r in before if is_finite(r.evaluation_loss)]
    if not earlier:
        return ""
    best, where = min(earlier)
    now = to_float(row.evaluation_loss)
    falling = is_finite(before[-1].loss) and to_float(row.loss) < to_float(before[-1].loss)
    if falling and 0 < best * 1.001 < now and math.isfinite(now / best):
        above = f"{_percent(now / best - 1)} above" if now < 10 * best else f"{now / best:.3g} times"
        return f"training loss fell, validation loss is {above} its best ({where})"
    if row.accuracy is not None and row.evaluation_accuracy is not None:
        gap = 100 * (row.accuracy - row.evaluation_accuracy)
        if gap > 5:
            return f"training accuracy is {gap:.1f} points above validation"
    return ""


def _relative(old: float, new: float) -> float | None:
    """The change from ``old`` to ``new`` as a share, where that means something."""
    if old == new:
        return 0.0
    if old <= 0 or new < 0 or not math.isfinite(old):
        return None
    change = (new - old) / old
    return change if math.isfinite(change) else None


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def curves_of(run: RankRun) -> list[Curve]:
    """The loss by update, for each optimizer that stepped, and of the evaluations."""
    points: dict[str, list[tuple[float, Number]]] = {}
    for update in run.updates:
        if update.loss is not None:
            owner = update.owners[0] if update.owners else "manual"
            points.setdefault(owner, []).append((update.index, to_number(update.loss)))
    for first, stretch in run.stretches:
        owners = len(stretch.tallies)
        for owner, tally in stretch.tallies.items():
            points.setdefault(owner, []).extend((first + at * owners, value) for at, value in tally.points)
    curves = []
    for owner, found in points.items():
        name = "training" if len(points) == 1 else run.optimizer_name(owner)
        curves.append(Curve(name=name, points=_thinned(sorted(found, key=lambda point: point[0]))))
    evaluated = [(float(e.after), loss) for e in run.evaluations if (loss := _evaluation([e])[0]) is not None]
    if evaluated:
        curves.append(Curve(name="validation", points=_thinned(evaluated)))
    return curves


def _thinned(points: list[tuple[float, Number]]) -> list[tuple[float, Number]]:
    step = -(-len(points) // MOST_POINTS)
    if step <= 1:
        return points
    last = len(points) - 1
    return [*points[:last:step], points[last]]  # a curve ends where the training did
