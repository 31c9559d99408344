"""What the rules about several ranks ask of the record."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepscope.checking.readings.loop import held_by
from stepscope.checking.rule import NothingToJudge
from stepscope.record.events import ModelWrapped

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepscope.record.events import Backward
    from stepscope.record.look import ParameterLook
    from stepscope.record.run import RankRun, Run
    from stepscope.record.updates import Update


def ranks_of(run: Run) -> list[RankRun]:
    """The ranks that trained, main first; there is nothing to judge where they are fewer than two."""
    ranks = [rank for rank in (run.rank(number) for number in run.ranks) if rank.updates]
    if len(ranks) < 2:
        raise NothingToJudge("only one rank was seen to train")
    return ranks


def compared(ranks: list[RankRun]) -> Iterator[tuple[Update, list[list[ParameterLook]]]]:
    """For each update that all ranks looked at closely: each parameter as each rank saw it.

    Parameters are matched by name and shape; ids are given by each rank for itself.
    """
    looked = [{update.index: update for update in rank.looks} for rank in ranks]
    for update in looked[0].values():
        if not all(update.index in others for others in looked[1:]):
            continue
        seen = [_by_name(others[update.index]) for others in looked]
        rows = [[one[key] for one in seen] for key in seen[0] if all(key in one for one in seen)]
        marked = [row for row in rows if all(look.mark_after for look in row)]
        if marked:
            yield update, marked


def _by_name(update: Update) -> dict[tuple[str, str], ParameterLook]:
    looks = update.look.parameters if update.look is not None else []
    return {(look.name, str(look.after.shape if look.after else "")): look for look in looks}


def bypassing(main: RankRun) -> Iterator[tuple[Update, ModelWrapped, Backward]]:
    """Updates that trained wrapped parameters by a forward that went around the wrapper's own."""
    for wrapped in main.of(ModelWrapped):
        averaged = set(wrapped.parameters)
        for update in main.updates:
            held = {p for owner in update.owners for p in held_by(main, owner)}
            if not held & averaged:
                continue
            calls = [call for made in update.rounds for call in made.calls if call.grad and not call.criterion]
            if any(wrapped.wrapper in call.wrappers for call in calls):
                continue
            around = {
                id(call)
                for call in calls
                if call.model in main.models and any(info.id in averaged for info in main.models[call.model].parameters)
            }
            for made in update.rounds:
                backward = made.backward
                if backward is not None and backward.filled and any(id(call) in around for call in made.calls):
                    yield update, wrapped, backward
                    break


def differ(row: list[ParameterLook], mark: str) -> bool:
    """Whether a mark of one parameter is not the same on all ranks."""
    return len({getattr(look, mark) for look in row}) > 1


def distance(row: list[ParameterLook]) -> float:
    """How far the first rank's values and another's are apart, as a share of their spread."""
    first = row[0].after
    farthest = 0.0
    for look in row[1:]:
        other = look.after
        if first is None or other is None:
            continue
        spread = _number(first.std) or abs(_number(first.mean)) or 1.0
        pairs = [(_number(first.mean), _number(other.mean)), (_number(first.std), _number(other.std))]
        pairs += zip(_flat(first.corner), _flat(other.corner), strict=False)
        farthest = max(farthest, *(abs(a - b) / spread for a, b in pairs))
    return farthest


def _flat(corner: object) -> list[float]:
    if isinstance(corner, list):
        return [value for part in corner for value in _flat(part)]
    return [] if corner is None else [_number(corner)]


def _number(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) else 0.0
