"""How much of what is evaluated was trained on before."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from stepscope.checking.readings.batches import Rows, main_mark

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepscope.checking.readings.batches import Call, Data, Pass
    from stepscope.checking.rule import Place
    from stepscope.record.samples import Mark

#: Fewer evaluated samples than this say nothing.
FEWEST = 8
#: Samplers that leave nothing of a data set out.
_WHOLE = {"SequentialSampler", "RandomSampler", "DistributedSampler", "WeightedRandomSampler"}


@dataclass(eq=False)
class Overlap:
    """One evaluation against all that its optimizer had been fed by then.

    ``same`` of the ``of`` samples that could be compared were trained on; ``by_index``: they are
    equal indices of one dataset, else equal values. ``covers`` is the share of the training samples
    that it holds in its turn, ``repeats`` the share of training samples that repeat another one,
    ``sure``: equal samples are no chance. ``training_set``: it reads, whole, the very data set that is
    trained on, perhaps not wholly so far. ``at`` is where it is read, ``loader`` what feeds it.
    """

    at: Place
    after: int
    loader: str | None
    same: int
    of: int
    covers: float
    repeats: float
    sure: bool
    by_index: bool = False
    training_set: bool = False

    @property
    def share(self) -> float:
        """The share of the samples that were trained on."""
        return self.same / self.of if self.of else 0.0


_known: WeakKeyDictionary[Data, list[Overlap]] = WeakKeyDictionary()


def overlaps(data: Data) -> list[Overlap]:
    """Every evaluation that could be compared with training, in order."""
    found = _known.get(data)
    if found is None:
        found = _known[data] = [one for one in (*_of_passes(data), *_of_calls(data)) if one.of >= FEWEST]
    return found


def _of_passes(data: Data) -> list[Overlap]:
    found = []
    for one in data.passes:
        if one.evaluating and one.owners:
            same = _by_index(data, one) or _by_values(data, one)
            if same is not None:
                found.append(replace(same, training_set=_reads_the_training_set(data, one)))
    return found


def _reads_the_training_set(data: Data, one: Pass) -> bool:
    made = data.loaders.get(one.loader)
    if made is None or made.order not in _WHOLE or not made.part:
        return False
    fed = [data.loaders.get(other.loader) for other in data.passes if other.training and other.owners & one.owners]
    return any(other is not None and other.part == made.part and other.order in _WHOLE for other in fed)


def _fed_before(data: Data, one: Pass) -> Iterator[list[Mark]]:
    """What the loaders of the same optimizer's updates had handed out until a pass began, pass by pass."""
    for other in data.passes:
        if other.training and other.owners & one.owners:
            marks = [
                mark
                for batch in other.batches
                if batch.call is not None and batch.call.update <= one.update
                if (mark := main_mark(batch.marks)) is not None
            ]
            if marks:
                yield marks


def _by_index(data: Data, one: Pass) -> Overlap | None:
    """Compare indices of one dataset; None where training and evaluation have none in common to compare."""
    made = data.loaders.get(one.loader)
    if made is None or not made.data or not one.indices:
        return None
    trained = [
        other
        for other in data.passes
        if other.training
        and other.owners & one.owners
        and other.update <= one.update
        and (fed := data.loaders.get(other.loader)) is not None
        and fed.data == made.data
    ]
    before = {index for other in trained for index in other.indices}
    if not before:
        return None
    indices = set(one.indices)
    same = len(indices & before)
    if same and not _agree(one, trained):
        return None
    return Overlap(
        one.batches[0].event,
        one.update,
        one.loader,
        same,
        len(indices),
        same / len(before),
        0.0,
        sure=True,
        by_index=True,
    )


def _agree(one: Pass, trained: list[Pass]) -> bool:
    """Whether equal indices gave equal samples at least once, unless samples are drawn at random."""
    batches = [batch for other in (one, *trained) for batch in other.batches]
    if any(batch.seen is not None and batch.seen.drew for batch in batches):
        return True
    held = _samples(one)
    return not held or any(held.get(key) == sample for other in trained for key, sample in _samples(other).items())


def _samples(one: Pass) -> dict[int, object]:
    held: dict[int, object] = {}
    for batch in one.batches:
        mark = main_mark(batch.marks)
        if mark is not None and mark.whole and len(mark.samples) == len(batch.indices):
            held.update(zip(batch.indices, mark.samples, strict=True))
    return held


def _by_values(data: Data, one: Pass) -> Overlap | None:
    rows, before = Rows(), Rows()
    for batch in one.batches:
        rows.add(main_mark(batch.marks))
    for marks in _fed_before(data, one):
        fed = Rows()
        for mark in marks:
            fed.add(mark)
        before.join(fed)
    if not before.samples or not rows.samples:
        return None
    return _counted(one.batches[0].event, one.update, one.loader, rows, before)


def _counted(at: Place, after: int, loader: str | None, rows: Rows, before: Rows) -> Overlap:
    same, of = rows.within(before)
    back, held = before.within(rows)
    repeats = before.repeats
    # Samples that never equal one another in training, but often those that are judged: no chance either.
    no_chance = repeats < 0.02 and len(before.samples) >= 64 and same > 0.2 * of
    return Overlap(
        at,
        after,
        loader,
        same,
        of,
        back / held if held else 0.0,
        repeats,
        sure=(rows.fine and before.fine) or no_chance,
    )


def _of_calls(data: Data) -> list[Overlap]:
    """Evaluations that no loader feeds, a line of calls at a time: told by what the models were given."""
    found = []
    fed = {(call.event.file, call.event.line) for call in data.calls if call.fed}  # some loaders run one batch ahead
    before: dict[str, Rows] = {}
    repeated: dict[str, set[tuple[object, ...]]] = {}
    for call in data.calls:
        mark = main_mark(call.marks)
        if mark is None or not mark.samples or (mark.values and not mark.floats):  # an id alone says little
            continue
        if call.training:
            for owner in call.owners:
                key = tuple(mark.samples)
                if key not in repeated.setdefault(owner, set()):  # the next epoch's batches are no repetition
                    repeated[owner].add(key)
                    before.setdefault(owner, Rows()).add(mark)
        elif (call.event.file, call.event.line) not in fed and not call.event.training:
            known = next((before[owner] for owner in sorted(call.owners) if owner in before), None)
            if known is not None:
                found.append(_of_call(call, mark, known))
    return found


def _of_call(call: Call, mark: Mark, known: Rows) -> Overlap:
    rows = Rows()
    rows.add(mark)
    return _counted(call.event, call.update, None, rows, known)
