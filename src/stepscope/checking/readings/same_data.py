"""Whether several ranks train on the same samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stepscope.checking.readings.batches import data_of, main_mark

if TYPE_CHECKING:
    from stepscope.checking.rule import Place
    from stepscope.record.numbers import Number
    from stepscope.record.run import RankRun


@dataclass
class SameData:
    """How many updates could be compared, how many had the same samples on all ranks, and where the first came from."""

    compared: int = 0
    same: int = 0
    samples: int = 0
    update: int = 0
    place: Place | None = None
    varied: bool = False

    @property
    def alike(self) -> bool:
        """Whether the ranks are fed the same samples, update by update."""
        return self.compared >= 2 and self.same >= 0.9 * self.compared


def same_batches(ranks: list[RankRun]) -> SameData:
    """Compare what the ranks trained on; ``varied`` where a rank's own batches are not all the same."""
    told = [_by_update(rank) for rank in ranks]
    result = SameData()
    kinds = set()
    for update, (samples, place) in told[0].items():
        if not all(update in others for others in told[1:]):
            continue
        result.compared += 1
        kinds.add(samples)
        if all(others[update][0] == samples for others in told[1:]):
            result.same += 1
            if result.place is None:
                result.place, result.update, result.samples = place, update, len(samples)
    result.varied = len(kinds) > 1
    return result


def _by_update(rank: RankRun) -> dict[int, tuple[tuple[Number, ...], Place]]:
    """What the first call of each update was given: the batch it came from, before anything was added to it."""
    found: dict[int, tuple[tuple[Number, ...], Place]] = {}
    for call in data_of(rank).calls:
        if not call.training or call.update in found or call.event.criterion:
            continue
        place: Place = call.event
        mark = main_mark(call.marks)
        for batch in call.fed:
            fetched = main_mark(batch.marks)
            if fetched is not None:
                mark, place = fetched, batch.event
                break
        if mark is not None and mark.samples:
            found[call.update] = (tuple(sorted(mark.samples, key=float)), place)
    return found
