"""A run: the record of one execution, live or loaded, and the nouns one asks it for."""

from __future__ import annotations

from collections import Counter
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

from stepscope.record import events as ev
from stepscope.record import store
from stepscope.record.assemble import Assembler
from stepscope.record.updates import Epoch, Evaluation, Tally, Update

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Any

    from stepscope.record.look import Look

_E = TypeVar("_E", bound=ev.Event)

#: How many blocks a run without a loader is cut into for tables.
BLOCKS = 20


class Run:
    """What one execution did, as read from its record.

    A run that still goes on can be read as well; :meth:`reload` reads what has come since.
    """

    def __init__(self, folder: Path) -> None:
        """Open the record in ``folder`` (see :func:`stepscope.load` for errors)."""
        self.folder = folder
        self.info = store.read_info(folder)
        self._ranks: dict[int, RankRun] = {}

    def __repr__(self) -> str:
        """Say where the record lies and how much is in it."""
        return f"Run({str(self.folder)!r}, updates={self.main.update_count})"

    @cached_property
    def ranks(self) -> list[int]:
        """The ranks that left events, in order."""
        return store.ranks_of(self.folder)

    def rank(self, number: int) -> RankRun:
        """The part of the record that rank ``number`` wrote."""
        if number not in self._ranks:
            events = list(store.read_events(self.folder, number)) if number in self.ranks else []
            self._ranks[number] = RankRun(self.folder, events)
        return self._ranks[number]

    @property
    def main(self) -> RankRun:
        """The first rank's part: all there is, but for runs under ``torchrun``."""
        return self.rank(self.ranks[0] if self.ranks else 0)

    @property
    def updates(self) -> list[Update]:
        """The updates that were noted one by one (rank 0), in order."""
        return self.main.updates

    @property
    def evaluations(self) -> list[Evaluation]:
        """The evaluations (rank 0), in order."""
        return self.main.evaluations

    @property
    def epochs(self) -> list[Epoch]:
        """The epochs, or blocks of updates (rank 0), in order."""
        return self.main.epochs

    def reload(self) -> None:
        """Forget what was read, so that the next question reads the record anew."""
        self._ranks.clear()
        self.__dict__.pop("ranks", None)


class RankRun:
    """The events of one rank, assembled."""

    def __init__(self, folder: Path, events: list[ev.AnyEvent]) -> None:
        """Assemble ``events``."""
        self.folder = folder
        self.events = events
        self.updates: list[Update] = []
        self.evaluations: list[Evaluation] = []
        self.stretches: list[tuple[int, ev.Stretch]] = []
        self.models: dict[str, ev.ModelSeen] = {}
        self.optimizers: dict[str, ev.OptimizerSeen] = {}
        self.loaders: dict[str, ev.LoaderSeen] = {}
        self.schedulers: dict[str, ev.SchedulerSeen] = {}
        self._assemble()

    def _assemble(self) -> None:
        assembler = Assembler()
        looks: dict[int, Look] = {}
        for event in self.events:
            match event:
                case ev.ModelSeen():
                    self.models[event.id] = event
                case ev.OptimizerSeen():
                    self.optimizers[event.id] = event
                case ev.LoaderSeen():
                    self.loaders[event.id] = event
                case ev.SchedulerSeen():
                    self.schedulers[event.id] = event
                case ev.LookTaken():
                    looks[event.update] = event.look
            self._sort(assembler.feed(event))
            if isinstance(event, ev.Stretch):  # fed by now: it may have ended a manual update before it
                self.stretches.append((assembler.updates - event.updates + 1, event))
        self._sort(assembler.finish())
        self.update_count = assembler.updates
        self.round_count = assembler.rounds
        self.unstepped = assembler.unstepped()
        self.forward_look = looks.get(0)
        for update in self.updates:
            update.look = looks.get(update.index)

    def _sort(self, done: list[Update | Evaluation]) -> None:
        for item in done:
            if isinstance(item, Update):
                self.updates.append(item)
            else:
                self.evaluations.append(item)

    def of(self, kind: type[_E]) -> Iterator[_E]:
        """The events of one kind, in order."""
        return (event for event in self.events if isinstance(event, kind))

    @property
    def looks(self) -> list[Update]:
        """The updates that were looked at closely, in order."""
        return [update for update in self.updates if update.look is not None]

    @property
    def ended(self) -> ev.RunEnded | None:
        """How the run ended; None where it was killed or still goes on."""
        return next((e for e in reversed(self.events) if isinstance(e, ev.RunEnded)), None)

    def values(self, look: Look) -> dict[str, Any]:
        """The larger values that ``look`` kept, as NumPy arrays by key."""
        return store.read_tensors(self.folder, look.values)

    def optimizer_name(self, owner: str) -> str:
        """The name of an optimizer as its script calls it."""
        seen = self.optimizers.get(owner)
        return seen.name if seen else owner

    # Epochs.

    @cached_property
    def main_loader(self) -> str | None:
        """The id of the loader whose passes are the epochs: the one that fed most updates."""
        fed: Counter[str] = Counter()
        for update in self.updates:
            fed.update(update.passes.keys())
        for _first, stretch in self.stretches:
            for loader in stretch.passes:
                fed[loader] += stretch.updates
        if not fed:
            return None
        most = max(fed.values())
        return min((loader for loader in fed if fed[loader] == most), key=self._batches_a_pass, default=None)

    def _batches_a_pass(self, loader: str) -> float:
        seen = self.loaders.get(loader)
        return -(seen.batches or 0) if seen else 0.0

    @cached_property
    def epochs(self) -> list[Epoch]:
        """Passes over :attr:`main_loader`; blocks of updates where no loader feeds them."""
        loader = self.main_loader
        epochs = self._passes(loader) if loader else self._blocks()
        self._place_evaluations(epochs)
        return epochs

    def _told(self) -> Iterator[tuple[int, Update | ev.Stretch]]:
        """Updates and stretches in order, each with the number of its first update."""
        stretches = iter([*self.stretches, (None, None)])
        at, stretch = next(stretches)
        for update in self.updates:
            while stretch is not None and at is not None and at < update.index:
                yield at, stretch
                at, stretch = next(stretches)
            yield update.index, update
        while stretch is not None and at is not None:
            yield at, stretch
            at, stretch = next(stretches)

    def _passes(self, loader: str) -> list[Epoch]:
        epochs: list[Epoch] = []
        for index, told in self._told():
            passes = told.passes.get(loader)
            if isinstance(passes, tuple):
                first, last = passes
            elif passes is not None:
                first = last = passes
            else:
                first = last = epochs[-1].last_number if epochs else 1
            _tell(epochs, index, told, first, last)
        return epochs

    def _blocks(self) -> list[Epoch]:
        size = max(1, -(-self.update_count // BLOCKS))
        epochs: list[Epoch] = []
        for index, told in self._told():
            block = (index - 1) // size + 1
            _tell(epochs, index, told, block, block)
        return epochs

    def _place_evaluations(self, epochs: list[Epoch]) -> None:
        waiting = [e for e in self.evaluations if e.after > 0]
        for epoch in epochs:
            inside = [e for e in waiting if e.after <= epoch.last_update]
            epoch.evaluations.extend(inside)
            waiting = [e for e in waiting if e.after > epoch.last_update]


def _tell(epochs: list[Epoch], index: int, told: Update | ev.Stretch, first: int, last: int) -> None:
    """Count ``told`` into the epoch it belongs to, opening one where needed."""
    count = told.updates if isinstance(told, ev.Stretch) else 1
    if not epochs or first > epochs[-1].last_number:
        epochs.append(Epoch(first, last, index, index))
    epoch = epochs[-1]
    epoch.last_number = max(epoch.last_number, last)
    epoch.last_update = index + count - 1
    if isinstance(told, Update):
        owner = told.owners[0] if told.owners else "manual"
        epoch.tallies.setdefault(owner, Tally()).add_update(told)
        return
    for owner, tally in told.tallies.items():
        epoch.tallies.setdefault(owner, Tally()).add_tally(tally)
