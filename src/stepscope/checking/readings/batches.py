"""What the record tells of the data: which batches were trained on, which only judged, and what they held."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import msgspec

from stepscope.record import events as ev

if TYPE_CHECKING:
    from stepscope.record.numbers import Number
    from stepscope.record.run import RankRun
    from stepscope.record.samples import Mark


@dataclass(eq=False)
class Call:
    """One call of a model. ``update`` is the one it belongs to, or for an evaluation the last one before it.

    ``owners`` are the optimizers that stepped in that update, ``first``: nothing was called before it
    in this update.
    """

    event: ev.ModelCalled
    seen: ev.SamplesSeen | None
    training: bool
    update: int
    owners: frozenset[str]
    first: bool = False
    fed: list[Batch] = field(default_factory=list)
    targets: list[Mark] = field(default_factory=list)

    @property
    def marks(self) -> list[Mark]:
        """What it was given."""
        return self.seen.marks if self.seen is not None else []


@dataclass(eq=False)
class Batch:
    """One batch of a loader, and the first call that came after it (None: none came)."""

    event: ev.BatchFetched
    seen: ev.SamplesSeen | None = None
    call: Call | None = None

    @property
    def marks(self) -> list[Mark]:
        """What it held."""
        return self.seen.marks if self.seen is not None else []

    @property
    def indices(self) -> list[int]:
        """The samples by their indices in the dataset below."""
        return self.seen.indices if self.seen is not None else []


@dataclass(eq=False)
class Pass:
    """One pass over a loader: ``training`` where most of its batches led to updates."""

    loader: str
    number: int
    batches: list[Batch] = field(default_factory=list)

    @property
    def _calls(self) -> list[Call]:
        return [batch.call for batch in self.batches if batch.call is not None]

    @property
    def training(self) -> bool:
        """Whether it fed updates."""
        calls = self._calls
        return bool(calls) and 2 * sum(call.training for call in calls) > len(calls)

    @property
    def evaluating(self) -> bool:
        """Whether it fed models without training them, in evaluation mode where they have one."""
        calls = self._calls
        return bool(calls) and not self.training and any(not call.event.training for call in calls)

    @property
    def update(self) -> int:
        """The first update it fed, or the last one before it."""
        return next((call.update for call in self._calls), 0)

    @property
    def owners(self) -> frozenset[str]:
        """The optimizers that stepped on it, or right before it."""
        return frozenset[str]().union(*(call.owners for call in self._calls))

    @property
    def indices(self) -> list[int]:
        """The samples in order, by their indices in the dataset below."""
        return [index for batch in self.batches for index in batch.indices]


class Data:
    """All that the record tells of batches, calls and loaders."""

    def __init__(self, main: RankRun) -> None:
        """Read the events of one rank."""
        self.calls: list[Call] = []
        self.passes: list[Pass] = []
        self.made: list[ev.LoaderMade] = list(main.of(ev.LoaderMade))
        self.loaders: dict[str, ev.LoaderStudied] = {}
        self.batches_in: dict[str, int | None] = {key: seen.batches for key, seen in main.loaders.items()}
        for studied in main.of(ev.LoaderStudied):
            self.loaders.setdefault(studied.loader, studied)
        self._updates = {
            id(call): (update.index, frozenset(update.owners))
            for update in main.updates
            for made in [*update.rounds, *update.discarded]
            for call in made.calls
        }
        self._unstepped = {id(call) for made in main.unstepped for call in made.calls}
        self._running: dict[str, Pass] = {}
        threads: dict[int, _Thread] = defaultdict(_Thread)
        for event in main.events:
            self._feed(threads[event.thread], event)

    def _feed(self, thread: _Thread, event: ev.AnyEvent) -> None:
        match event:
            case ev.PassStarted():
                self._running[event.loader] = Pass(event.loader, event.number)
                self.passes.append(self._running[event.loader])
            case ev.BatchFetched():
                batch = Batch(event)
                if event.loader not in self._running:
                    self._running[event.loader] = Pass(event.loader, 1)
                    self.passes.append(self._running[event.loader])
                self._running[event.loader].batches.append(batch)
                thread.waiting.append(batch)
            case ev.SamplesSeen(of="batch"):
                if thread.waiting and thread.waiting[-1].seen is None:
                    thread.waiting[-1].seen = event
            case ev.SamplesSeen(of="call"):
                thread.given = event
            case ev.SamplesSeen(of="loss"):
                if thread.last is not None:
                    thread.last.targets += event.marks
            case ev.ModelCalled(criterion=False, failed=False):
                self._called(thread, event)

    def _called(self, thread: _Thread, event: ev.ModelCalled) -> None:
        update, owners = self._updates.get(id(event), (0, frozenset[str]()))
        training = bool(update) or id(event) in self._unstepped
        call = Call(event, thread.given, training, update or thread.update, owners or thread.owners)
        call.first = training and (thread.last is None or not thread.last.training or thread.last.update != call.update)
        if update:
            thread.update, thread.owners = update, owners
        for batch in thread.waiting:
            batch.call = call
        call.fed, thread.waiting, thread.given, thread.last = thread.waiting, [], None, call
        self.calls.append(call)


@dataclass
class _Thread:
    """Where one thread stands while its events are read."""

    waiting: list[Batch] = field(default_factory=list)
    given: ev.SamplesSeen | None = None
    last: Call | None = None
    update: int = 0
    owners: frozenset[str] = frozenset()


_HASH = (1 << 52) - 1
_known: WeakKeyDictionary[RankRun, Data] = WeakKeyDictionary()


def data_of(main: RankRun) -> Data:
    """What the record of one rank tells of its data; read once."""
    found = _known.get(main)
    if found is None:
        found = _known[main] = Data(main)
    return found


def main_mark(marks: list[Mark]) -> Mark | None:
    """The mark that tells samples apart best: floats, several per sample; else all columns together."""
    wide = [mark for mark in marks if mark.rows and not mark.values]
    if wide:
        return next((mark for mark in wide if mark.floats), wide[0])
    columns = [mark for mark in marks if mark.samples]
    return _joined(columns) if len(columns) > 1 else next(iter(columns), None)


def _joined(columns: list[Mark]) -> Mark:
    """Columns of one number per sample as one mark: a user's id alone does not tell one sample from another."""
    finest = max(columns, key=lambda mark: (mark.floats, mark.grain))
    if not all(mark.whole and mark.shape[0] == finest.shape[0] for mark in columns):
        return finest
    together = zip(*(mark.samples for mark in columns), strict=True)
    rows = [hash(tuple(map(float, sample))) & _HASH for sample in together]
    return msgspec.structs.replace(finest, rows=rows, values=[])


@dataclass
class Rows:
    """Samples gathered from many marks. ``limit``: those with larger hashes may be missing.

    ``repeats`` is the share of samples that equal an earlier one, in the largest part.
    """

    samples: set[Number] = field(default_factory=set)
    limit: float = float("inf")
    grain: float = 1.0
    floats: bool = True
    total: int = 0
    _part: tuple[int, float] | None = None

    def add(self, mark: Mark | None) -> None:
        """Gather the samples of ``mark``."""
        if mark is None or not mark.samples:
            return
        self.samples.update(mark.samples)
        self.total += len(mark.samples)
        self.grain = min(self.grain, float(mark.grain))
        self.floats = self.floats and mark.floats
        if not mark.whole:
            self.limit = min(self.limit, float(max(mark.samples)))

    def join(self, other: Rows) -> None:
        """Gather what one epoch had: samples that come again in the next one are no repetition."""
        self._part = max(self._part or (0, 0.0), (other.total, other.repeats))
        self.samples |= other.samples
        self.total += other.total
        self.grain = min(self.grain, other.grain)
        self.floats = self.floats and other.floats
        self.limit = min(self.limit, other.limit)

    @property
    def repeats(self) -> float:
        """The share of samples that equal an earlier one."""
        if self._part is not None:
            return self._part[1]
        return 1.0 - len(self.samples) / self.total if self.total else 0.0

    @property
    def fine(self) -> bool:
        """Whether samples are measurements, which are never equal by chance."""
        return self.floats and self.grain > 0.5

    def within(self, other: Rows) -> tuple[int, int]:
        """How many of these samples ``other`` has, and of how many that can be said."""
        limit = min(self.limit, other.limit)
        judged = [sample for sample in self.samples if float(sample) <= limit]
        return sum(sample in other.samples for sample in judged), len(judged)
