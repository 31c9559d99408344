"""What batches held and how they were put together: noted in thorough watches, for the rules about data."""

from __future__ import annotations

import sys
import weakref
from collections import Counter, deque
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

import msgspec
from torch import Tensor, nn
from torch.nn.modules.loss import _Loss
from torch.optim import Optimizer
from torch.utils.data import IterableDataset

from stepscope.observe.frames import called_from_user, is_own, locals_of, user_frames, user_line
from stepscope.observe.gauge import first_tensors
from stepscope.observe.quiet import unseen
from stepscope.observe.thorough import feeding, workers
from stepscope.observe.thorough.marks import Marking
from stepscope.record import events as ev
from stepscope.record.samples import OwnGenerator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from stepscope.observe.session import Session

#: Samples that are told over the whole run, so that the record stays small.
_MOST_SAMPLES = 400_000
_MOST_INDICES = 1024
_MOST_LOADERS = 256
#: Tensors of a batch that are told, and stored samples of a batch that are compared.
_MOST_TENSORS = 4
#: Of what comes between one update and the next, how many calls, losses and batches each: a loop over time steps
#: calls its model for every one of them.
_MOST_BETWEEN = 8
_MOST_COMPARED = 8
#: Calls for which the script is searched for what it keeps.
_MOST_SEARCHES = 12
_MOST_NAMES = 3000
_DEPTH = 4
_NOTHING_INSIDE = (Optimizer, type, ModuleType, FunctionType, BuiltinFunctionType, str, bytes, int, float, type(None))
_MOST_CONTENTS = 64


class _Fetching:
    """One pass of an iterator: the indices that were drawn and not handed out yet, and how things stood before."""

    def __init__(self, iterator: weakref.ref[Any], dataset: Any) -> None:
        self.iterator = iterator
        self.drawn: deque[Any] = deque()
        self.base, self.maps = feeding.below(dataset)
        self.readers: dict[str, Callable[[], bytes]] = {}
        self.states: dict[str, bytes] = {}
        self.stores: dict[str, Any] = {}
        self.contents: dict[tuple[str, int], bytes | None] = {}

    def forget(self) -> None:
        """A new pass of the same iterator begins."""
        self.drawn.clear()
        self.states, self.contents = {}, {}


class Sampling:
    """Notes samples for one watch."""

    def __init__(self, session: Session) -> None:
        """Note through ``session``."""
        self._session = session
        self._told = 0
        self._loaders = 0
        self._fetching: dict[int, _Fetching] = {}
        self._places: dict[int, tuple[weakref.ref[Any], tuple[str | None, int]]] = {}
        self._data: dict[int, tuple[weakref.ref[Any], str]] = {}
        self._data_count = 0
        self._studied: dict[int, weakref.ref[Any]] = {}
        self._searches = 0
        self._recent: deque[tuple[weakref.ref[Tensor], int, Marking]] = deque(maxlen=_MOST_TENSORS)
        self._kept: dict[int, list[weakref.ref[Any]]] = {}  # by the number of samples
        self._between: tuple[tuple[int, int], Counter[str]] = ((0, 0), Counter())

    @property
    def _open(self) -> bool:
        """Whether this update is still watched for rules."""
        lane = self._session.lane()
        return not lane.brief and self._told < _MOST_SAMPLES and lane.updates <= 2 * self._session.plan.thorough

    def _is_one_too_many(self, of: str) -> bool:
        """Whether enough of this kind was told since the last update of this thread."""
        lane = self._session.lane()
        now = (lane.number, lane.updates)
        if self._between[0] != now:
            self._between = (now, Counter())
        self._between[1][of] += 1
        return self._between[1][of] > _MOST_BETWEEN

    # Loaders.

    @unseen
    def made(self, loader: Any) -> None:
        """User code, or a library for it, constructed a loader."""
        maker = _maker(loader)
        direct = maker is not None and called_from_user(maker)
        place = (maker.f_code.co_filename, maker.f_lineno) if maker is not None and direct else user_line(2)
        dataset = getattr(loader, "dataset", None)
        known = self._places.get(id(dataset))
        if known is not None and known[0]() is dataset and not direct:
            place = known[1]  # a library has wrapped a loader of the user's
        self._remember(self._places, dataset, place)
        self._remember(self._places, loader, place)
        self._loaders += 1
        if self._loaders <= _MOST_LOADERS:
            base, _ = feeding.below(dataset)
            self._session.note(
                ev.LoaderMade,
                data=self._data_id(base),
                part=self._data_id(dataset),
                samples=feeding.length(dataset),
            )

    def _remember(self, where: dict[int, Any], thing: Any, what: Any) -> None:
        key = id(thing)
        try:
            where[key] = (weakref.ref(thing, lambda _ref: where.pop(key, None)), what)
        except TypeError:  # a list, say: it is told apart from nothing
            where.pop(key, None)

    def _data_id(self, dataset: Any) -> str:
        known = self._data.get(id(dataset))
        if known is not None and known[0]() is dataset:
            return known[1]
        self._data_count += 1
        self._remember(self._data, dataset, f"d{self._data_count}")
        found = self._data.get(id(dataset))
        return found[1] if found is not None else ""

    @unseen
    def study(self, loader: Any, id_: str) -> None:
        """A loader is iterated for the first time."""
        known = self._studied.get(id(loader))
        if known is not None and known() is loader:
            return
        key = id(loader)
        self._studied[key] = weakref.ref(loader, lambda _ref: self._studied.pop(key, None))
        place = self._places.get(key)
        file, line = place[1] if place is not None and place[0]() is loader else (None, 0)
        base, _ = feeding.below(loader.dataset)
        shared, tried = self._shared(loader)
        self._session.note(
            ev.LoaderStudied,
            loader=id_,
            cls=type(base).__name__,
            data=self._data_id(base),
            part=self._data_id(loader.dataset),
            samples=feeding.length(loader.dataset),
            order=_order(loader),
            iterable=isinstance(loader.dataset, IterableDataset),
            made_file=file,
            made_line=line,
            workers=loader.num_workers,
            persistent=bool(loader.persistent_workers),
            tried=tried,
            shared=shared,
        )

    def _shared(self, loader: Any) -> tuple[list[OwnGenerator], bool]:
        """The generators that draw alike in all workers, and whether this was tried out."""
        if loader.num_workers < 1:
            return [], False
        own = feeding.own_generators(loader.dataset, loader.collate_fn)
        if not own and loader.worker_init_fn is None:
            return [], False
        places = workers.shared_draws(loader, own)
        if places is None:
            return [], False
        names = workers.names(own)
        told = [own[place].told() if place < len(own) else OwnGenerator(name=names[place]) for place in places]
        return told, True

    # Batches.

    def pass_began(self, iterator: Any) -> None:
        """An iterator begins a pass anew."""
        found = self._fetching.get(id(iterator))
        if found is not None:
            found.forget()

    @unseen
    def index_drawn(self, iterator: Any, index: Any) -> None:
        """The sampler chose the next batch; without workers it is put together right after this."""
        key = id(iterator)
        found = self._fetching.get(key)
        if found is None or found.iterator() is not iterator:
            gone = weakref.ref(iterator, lambda _ref: self._fetching.pop(key, None))
            found = self._fetching[key] = _Fetching(gone, iterator._dataset)
        found.drawn.append(index)
        if iterator._num_workers == 0 and self._open:
            self._before(found, iterator, index)

    def _before(self, found: _Fetching, iterator: Any, index: Any) -> None:
        """How the generators and the stored samples stand before a batch is put together."""
        if not found.readers:
            found.readers = feeding.common_generators()
            for own in feeding.own_generators(iterator._dataset, iterator._collate_fn):
                found.readers[own.path] = own.state
            found.stores = feeding.stored(found.base)
        found.states = {name: read() for name, read in found.readers.items()}
        indices = _as_indices(index, found.maps)
        chosen = sorted(indices, key=lambda number: number * 0x9E3779B1 & 0xFFFFFFFF)[:_MOST_COMPARED]
        found.contents = {
            (name, number): feeding.content(store, number) for name, store in found.stores.items() for number in chosen
        }

    @unseen
    def fetched(self, iterator: Any, batch: Any) -> None:
        """A batch was handed out."""
        found = self._fetching.get(id(iterator))
        index = found.drawn.popleft() if found is not None and found.drawn else None
        if not self._open:
            return
        drew: list[str] = []
        rewrote: list[int] = []
        where = ""
        if found is not None and iterator._num_workers == 0:
            drew = [name for name, state in found.states.items() if found.readers[name]() != state]
            for (name, number), before in found.contents.items():
                if before is not None and feeding.content(found.stores[name], number) != before:
                    rewrote.append(number)
                    where = where or name
            found.states, found.contents = {}, {}
        indices = _as_indices(index, found.maps) if found is not None else []
        tensors = [pair for pair in first_tensors(batch) if pair[1].dim()][:_MOST_TENSORS]
        self._note("batch", tensors, indices=indices, drew=drew, rewrote=rewrote, stored=where)

    # Calls and losses.

    @unseen
    def called(self, module: Any, args: Any, kwargs: Any, *, grad: bool) -> None:
        """User code calls a module: its first floating-point and its first other input are told."""
        if isinstance(module, _Loss) or not self._open or self._is_one_too_many("training" if grad else "evaluation"):
            return
        tensors = [pair for pair in first_tensors(args, kwargs) if pair[1].dim()]
        chosen = [pair for pair in tensors if pair[1].is_floating_point()][:1]
        chosen += [pair for pair in tensors if not pair[1].is_floating_point()][:1]
        if chosen:
            held = self._holds(chosen[0][1].shape[0], [tensor for _, tensor in tensors]) if grad else None
            self._note("call", chosen, held=held, part=_part(chosen[0][1]))

    @unseen
    def loss(self, target: Any, result: Tensor) -> None:
        """A loss function of torch was evaluated in training: its targets are told where they are labels."""
        if not result.requires_grad or not isinstance(target, Tensor) or target.dim() == 0 or not self._open:
            return
        if target.numel() == target.shape[0] and not self._is_one_too_many("loss"):
            self._note("loss", [("target", target)])

    def _note(self, of: str, tensors: list[tuple[str, Tensor]], **fields: Any) -> None:
        marks = [self._marked(tensor, name) for name, tensor in tensors]
        self._told += sum(mark.rows for mark in marks)
        event: Any = self._session._event(ev.SamplesSeen, of=of, **fields)
        self._session.notes.put_later(
            event,
            lambda: all(mark.ready() for mark in marks),
            lambda: msgspec.structs.replace(event, marks=[mark.mark() for mark in marks]),
        )

    def _marked(self, tensor: Tensor, name: str) -> Marking:
        """The mark of a tensor; of one that was marked just now and has not changed since, the same."""
        if tensor.is_inference():
            return Marking(tensor, name)
        for ref, version, mark in self._recent:
            if ref() is tensor and version == tensor._version:
                return mark.named(name)
        mark = Marking(tensor, name)
        self._recent.append((weakref.ref(tensor), tensor._version, mark))
        return mark

    def _holds(self, count: int, given: list[Tensor]) -> bool | None:
        """Whether the script keeps something with ``count`` samples from call to call: its whole data, say."""
        if self._searches >= _MOST_SEARCHES:
            return None
        self._searches += 1
        before = self._kept.get(count)
        kept = self._kept[count] = []
        held = False
        bases = [tensor._base for tensor in given if tensor._base is not None]
        for thing in (*given, *bases, *_arrays_in_reach()):
            if thing.ndim and len(thing) == count:
                held = held or any(ref() is thing for ref in before or ())
                kept.append(weakref.ref(thing))
        return held if before is not None else None


def _maker(loader: Any) -> FrameType | None:
    """The frame that called the constructor of ``loader``."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and (
        is_own(frame.f_code.co_filename)
        or (frame.f_code.co_name == "__init__" and locals_of(frame).get("self") is loader)
    ):
        frame = frame.f_back
    return frame


def _arrays_in_reach() -> Iterator[Any]:
    """Tensors, arrays and tables that the user's running functions can name, or that what they can name holds."""
    seen: set[int] = set()
    level: list[Any] = []
    for frame in user_frames():
        level += locals_of(frame).values()
        level += frame.f_globals.values()
    for _ in range(_DEPTH):
        inside: list[Any] = []
        for value in level:
            if id(value) in seen or isinstance(value, _NOTHING_INSIDE):
                continue
            seen.add(id(value))
            if len(seen) > _MOST_NAMES:
                return
            if _is_table(value):
                yield value
            else:
                inside += _contents(value)
        level = inside


def _contents(value: Any) -> list[Any]:
    """What a container, or an object of the script's own, holds."""
    if isinstance(value, dict):
        return list(value.values())[:_MOST_CONTENTS]
    if isinstance(value, (list, tuple)):
        return list(value[:_MOST_CONTENTS])
    inner = getattr(value, "__dict__", None)
    if isinstance(value, nn.Module) and isinstance(inner, dict):  # what it learns is no data
        inner = {name: item for name, item in inner.items() if not name.startswith("_")}
    return list(inner.values())[:_MOST_CONTENTS] if isinstance(inner, dict) else []


def _is_table(value: Any) -> bool:
    if isinstance(value, Tensor):
        return bool(value.dim()) and not isinstance(value, nn.Parameter)  # data may require gradients, as in a PINN
    name = type(value).__name__
    return name in {"ndarray", "DataFrame", "Series"} and bool(getattr(value, "ndim", 0))


def _part(tensor: Tensor) -> float | None:
    """The share of a larger tensor that ``tensor`` is a view of, by samples."""
    base = tensor._base
    if base is None or base.dim() != tensor.dim() or not base.shape[0] or base.shape[1:] != tensor.shape[1:]:
        return None
    return tensor.shape[0] / base.shape[0]


def _as_indices(index: Any, maps: list[Any]) -> list[int]:
    """The samples of a batch by their indices in the dataset below; empty where they are no whole numbers."""
    index = index.tolist() if hasattr(index, "tolist") else index
    items = index if isinstance(index, (list, tuple)) else [index]
    try:
        whole = [int(item) for item in items[:_MOST_INDICES] if not isinstance(item, (str, bytes, float, type(None)))]
        return feeding.lowered(whole, maps) if len(whole) == min(len(items), _MOST_INDICES) else []
    except (TypeError, ValueError, IndexError, KeyError):
        return []


def _order(loader: Any) -> str:
    """The class of the sampler that decides the order, below batch samplers and what libraries wrap around them."""
    sampler: Any = loader
    for _ in range(8):
        inner = [getattr(sampler, name, None) for name in ("batch_sampler", "sampler")]
        inner = [found for found in inner if found is not None]  # their truth would ask for their length
        if not inner:
            break
        sampler = inner[0]
    return type(sampler).__name__
