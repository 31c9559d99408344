"""The probe: a model that trains is run a few times more on copies, with one thing changed.

What no graph tells: whether the samples of a batch influence one another inside the model, and
whether a model that predicts the next position sees the later ones. One sample (the later
positions) is replaced by another of the same batch, and what should not notice is compared.
"""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree

from stepscope.observe.frames import called_from_user, user_line
from stepscope.observe.gauge import looks_plain
from stepscope.observe.quiet import unseen
from stepscope.observe.thorough.isolated import Isolated, own_random_state
from stepscope.record import events as ev
from stepscope.record.numbers import to_number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import FrameType

    from stepscope.observe.notes import Notes
    from stepscope.observe.thorough.modes import Called

Place = tuple[str | None, int]

#: A forward that takes longer (in seconds) is not run again.
MOST_SECONDS = 0.5
#: Inputs with more elements are not copied.
MOST_ELEMENTS = 1 << 23
#: Operations of one forward that are compared.
MOST_OPERATIONS = 4000
MOST_MODELS = MOST_TARGETS = 4
#: An output has changed where the difference is more than this share of its spread.
CHANGED = 1e-3
_LOSSES = frozenset({"cross_entropy", "nll_loss", "mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss"})
_WRAPPERS = (nn.parallel.DistributedDataParallel, nn.DataParallel)


@dataclass
class Candidate:
    """A call that may be repeated after its update: copies of what went in."""

    module: nn.Module
    model: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    place: Place
    began: float
    repeated: bool
    seconds: float = 0.0
    targets: list[Tensor] = field(default_factory=list)

    def over(self) -> None:
        """The call is over."""
        self.seconds = time.perf_counter() - self.began


class Thread(Protocol):
    """What must be known of the thread that trains."""

    number: int
    updates: int
    backwards: int
    called: Called | None

    def let_go(self) -> None:
        """Listen to single operations no longer."""


class Watcher(Protocol):
    """What the probe asks of the watch it belongs to."""

    notes: Notes
    compiled: bool
    seams: list[Any]

    def only_lane(self, lane: Any) -> bool:
        """Whether no other thread trains."""


class Probe:
    """Watches for a model that trains, and probes each once. Switches itself off at the first failure."""

    def __init__(self, session: Watcher) -> None:
        """Belong to ``session``."""
        self._session = session
        self._candidate: Candidate | None = None
        self._tried: set[str] = set()

    @unseen
    def about_to_call(self, lane: Thread, module: nn.Module, model: str, args: Any, kwargs: Any) -> Candidate | None:
        """A model is called in an update that is looked at closely: keep what it is given."""
        if (
            self._candidate is not None
            or model in self._tried
            or not lane.updates  # whether a model is given the same batch again shows from the second update on
            or len(self._tried) >= MOST_MODELS
            or self._session.compiled
            or not any(parameter.requires_grad for parameter in module.parameters())
        ):
            return None
        leaves = pytree.tree_leaves((args, kwargs))
        tensors = [leaf for leaf in leaves if isinstance(leaf, Tensor)]
        if not tensors or sum(t.numel() for t in tensors) > MOST_ELEMENTS or not all(map(looks_plain, tensors)):
            return None
        if not all(isinstance(leaf, (Tensor, int, float, str, bool, type(None))) for leaf in leaves):
            return None
        args, kwargs = pytree.tree_map(_copied, (args, kwargs))
        inner = module.module if isinstance(module, _WRAPPERS) else module
        repeated = lane.called is not None and lane.called.knows(model, tensors[0])
        self._candidate = Candidate(inner, model, args, kwargs, user_line(), time.perf_counter(), repeated)
        return self._candidate

    def loss_called(self, target: Any) -> None:
        """A loss was computed: its target may be the input, one position later."""
        candidate = self._candidate
        if candidate is None or len(candidate.targets) >= MOST_TARGETS:
            return
        if isinstance(target, Tensor) and looks_plain(target) and target.numel() <= MOST_ELEMENTS:
            candidate.targets.append(target.detach().clone())

    def update_done(self, lane: Thread, update: int) -> None:
        """The update is over and its numbers are kept: probe the model it trained."""
        candidate, self._candidate = self._candidate, None
        if candidate is None or lane.backwards or self._session.compiled or not self._session.only_lane(lane):
            return
        self._tried.add(candidate.model)
        lane.let_go()  # backward called as a tensor's method could not leave our own mode
        if not 0 < candidate.seconds < MOST_SECONDS or _modes():
            return
        with _switched_off(self._session), suppress(Exception):  # whatever is odd about this model: leave it alone
            found = list(_probe(candidate))
            for told in found:
                event = ev.Probed(
                    at=self._session.notes.now(),
                    rank=self._session.notes.rank,
                    thread=lane.number,
                    model=candidate.model,
                    update=update,
                    repeated=candidate.repeated,
                    **told,
                )
                self._session.notes.put(event)


def _modes() -> int:
    return torch._C._len_torch_function_stack() + torch._C._len_torch_dispatch_stack()


class _switched_off:  # noqa: N801  # a context manager, read like one
    """Nothing of ours listens meanwhile."""

    def __init__(self, session: Watcher) -> None:
        self._on = [seam for seam in session.seams if seam.on]

    def __enter__(self) -> None:
        for seam in self._on:
            seam.on = False

    def __exit__(self, *_: object) -> None:
        for seam in self._on:
            seam.on = True


def _copied(leaf: Any) -> Any:
    return leaf.detach().clone() if isinstance(leaf, Tensor) else leaf


def _probe(candidate: Candidate) -> Iterator[dict[str, Any]]:
    """Run the model with one thing changed; tell what noticed."""
    isolated = Isolated(candidate.module)
    recording = torch.is_grad_enabled()
    with own_random_state() as rewind:
        torch._C._set_grad_enabled(False)
        try:
            yield from _Trials(candidate, isolated, rewind).told()
        finally:
            torch._C._set_grad_enabled(recording)


class _Trials:
    """Forwards of one model that differ in one thing."""

    def __init__(self, candidate: Candidate, isolated: Isolated, rewind: Callable[[], None]) -> None:
        self._candidate = candidate
        self._isolated = isolated
        self._rewind = rewind
        leaves = pytree.tree_leaves((candidate.args, candidate.kwargs))
        self._tensors = [leaf for leaf in leaves if isinstance(leaf, Tensor) and leaf.dim()]

    def told(self) -> Iterator[dict[str, Any]]:
        first = self._tensors[0]
        plain = self._forward(lambda tensor: tensor)
        again = self._forward(lambda tensor: tensor)
        if any(not torch.equal(a, b) for a, b in zip(plain.whole, again.whole, strict=True)):
            return  # the model draws from something that cannot be set back
        times = self._times(plain)
        dims = {dim for source, dim in times if source.shape[:2] == first.shape[:2]}
        certain = len(dims) == 1
        told = self._samples(plain, first, 1 - dims.pop() if certain else 0, certain=certain)
        if told is not None:
            yield told
            if told["changed"] and not certain and first.dim() > 1 and first.shape[1] > 1:
                other = self._samples(plain, first, 1)
                if other is not None:
                    yield other
        told_apart = bool(times) and not any(_is_square(x, times[0][0].shape[times[0][1]]) for x in plain.outputs)
        later = self._later(plain, *times[0]) if told_apart else None
        if later is not None:
            yield later

    # One sample is replaced.

    def _samples(self, plain: _Forward, first: Tensor, dim: int, *, certain: bool = False) -> dict[str, Any] | None:
        size = first.shape[dim]
        if size < 2 or _is_graph(self._tensors, size):
            return None
        at = size // 2
        other = next((i for i in range(size) if not torch.equal(first.select(dim, i), first.select(dim, at))), None)
        if other is None:
            return None

        def replaced(tensor: Tensor) -> Tensor:
            if tensor.dim() <= dim or tensor.shape[dim] != size:
                return tensor
            tensor = tensor.clone()
            tensor.select(dim, at).copy_(tensor.select(dim, other).clone())
            return tensor

        rest = torch.tensor([i for i in range(size) if i != at])

        def untouched(output: Tensor) -> Tensor | None:
            if output.dim() <= dim or output.shape[dim] != size or not output.is_floating_point():
                return None
            for axis in range(output.dim()):  # a matrix of pairs: the other index is a sample, too
                if output.shape[axis] == size:
                    output = output.index_select(axis, rest.to(output.device))
            return output.movedim(dim, 0)

        told = {"along": "samples", "dim": dim, "shape": list(first.shape), "certain": certain}
        return self._compare(plain, replaced, untouched, told)

    # The later positions are replaced.

    def _times(self, plain: _Forward) -> list[tuple[Tensor, int]]:
        """The inputs that a target is one position ahead of, and the dimensions along which it is."""
        targets = self._targets(plain)
        return [(x, dim) for x in self._tensors for dim in (1, 0) if any(_is_shifted(x, y, dim) for y in targets)]

    def _later(self, plain: _Forward, source: Tensor, dim: int) -> dict[str, Any] | None:
        length, batch = source.shape[dim], source.shape[1 - dim]
        cut = length // 2
        head, tail = source.narrow(dim, 0, cut), source.narrow(dim, cut, length - cut)
        changed = tail.roll(1, 1 - dim) if batch > 1 else tail.flip(dim)
        if torch.equal(changed, tail):
            return None
        new = torch.cat([head, changed], dim)

        def replaced(tensor: Tensor) -> Tensor:
            return new if tensor.shape == source.shape and torch.equal(tensor, source) else tensor

        def untouched(output: Tensor) -> Tensor | None:
            if not output.is_floating_point():
                return None
            shape = list(output.shape)
            pair = [length, batch] if dim == 0 else [batch, length]
            if len(shape) == 2 and shape[0] == length * batch and shape[0] not in pair:
                output = output.unflatten(0, (source.shape[0], source.shape[1]))
            elif shape[1 - dim : 2 - dim] != [batch]:
                return None
            elif shape[dim : dim + 1] not in ([length], [length - 1]):
                if dim == 0 or len(shape) != 3 or shape[2] not in {length, length - 1}:
                    return None
                output = output.transpose(1, 2)
            return output.narrow(dim, 0, cut).movedim(dim, 0)

        def inside(tensor: Tensor) -> Tensor | None:
            return untouched(_heads_later(tensor, batch, length) if dim == 1 else tensor)

        told = {"along": "time", "dim": dim, "shape": list(source.shape)}
        return self._compare(plain, replaced, untouched, told, inside)

    def _targets(self, plain: _Forward) -> list[Tensor]:
        return [*self._candidate.targets, *plain.targets]

    # Both.

    def _compare(
        self,
        plain: _Forward,
        replaced: Callable[[Tensor], Tensor],
        untouched: Callable[[Tensor], Tensor | None],
        told: dict[str, Any],
        inside: Callable[[Tensor], Tensor | None] | None = None,
    ) -> dict[str, Any] | None:
        """Run with ``replaced`` inputs: how many rows of the ``untouched`` part of the outputs changed.

        ``inside`` is that part of what operations make, where it is another one.
        """
        outputs = plain.parts(untouched)
        if not outputs:
            return None
        before = self._forward(lambda tensor: tensor, inside or untouched)
        after = self._forward(replaced, inside or untouched)
        changed, largest = 0, 0.0
        for old, new in zip(outputs, after.parts(untouched), strict=True):
            rows, most = _difference(old, new)
            changed, largest = max(changed, rows), max(largest, most)
        file, line, operation = *self._candidate.place, ""
        if changed:
            for one, other in zip(before.operations, after.operations, strict=False):
                if one.name != other.name or one.place != other.place:
                    break
                if one.differs(other):
                    operation = one.name
                    if one.place is not None:
                        file, line = one.place
                    break
        return {
            **told,
            "integers": not self._tensors[0].is_floating_point(),
            "compared": int(outputs[0].shape[0]),
            "outputs": list(plain.whole[0].shape),
            "targets": [list(target.shape) for target in self._targets(plain)[:MOST_TARGETS]],
            "changed": changed,
            "largest": to_number(largest),
            "operation": operation,
            "file": file,
            "line": line,
        }

    def _forward(
        self, replaced: Callable[[Tensor], Tensor], untouched: Callable[[Tensor], Tensor | None] | None = None
    ) -> _Forward:
        self._rewind()
        args, kwargs = pytree.tree_map(
            lambda leaf: replaced(leaf).clone() if isinstance(leaf, Tensor) and leaf.dim() else _copied(leaf),
            (self._candidate.args, self._candidate.kwargs),
        )
        mode = _Forward(untouched)
        with mode:
            result = self._isolated.run(args, kwargs)
        mode.outputs = [t for t in pytree.tree_leaves(result) if isinstance(t, Tensor) and looks_plain(t) and t.dim()]
        return mode


@dataclass
class _Operation:
    """An operation of a forward, and the part of its result that should not notice."""

    name: str
    place: Place | None
    part: Tensor

    def differs(self, other: _Operation) -> bool:
        """Whether that part is another one now."""
        return self.part.shape == other.part.shape and _differ(self.part, other.part)


class _Forward(TorchFunctionMode):
    """Listens to one forward: what its losses were given and, with ``untouched``, what each operation made."""

    def __init__(self, untouched: Callable[[Tensor], Tensor | None] | None) -> None:
        super().__init__()
        self.outputs: list[Tensor] = []
        self.predictions: list[Tensor] = []
        self.targets: list[Tensor] = []
        self.operations: list[_Operation] = []
        self._untouched = untouched

    @property
    def whole(self) -> list[Tensor]:
        """All that came out."""
        return [*self.outputs, *self.predictions]

    def parts(self, untouched: Callable[[Tensor], Tensor | None]) -> list[Tensor]:
        """The ``untouched`` parts of the outputs; of what its losses were given where a model returns only a loss."""
        for tensors in (self.outputs, self.predictions):
            found = [part for tensor in tensors if (part := untouched(tensor)) is not None and part.numel()]
            if found:
                return found
        return []

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Run the operation; keep what is compared later."""
        del types
        result = func(*args, **(kwargs or {}))
        name = getattr(func, "__name__", "")
        if name in _LOSSES and len(args) > 1 and isinstance(args[0], Tensor) and isinstance(args[1], Tensor):
            classes = name in {"cross_entropy", "nll_loss"} and args[0].dim() > 2
            self.predictions.append((args[0].movedim(1, -1) if classes else args[0]).clone())
            self.targets.append(args[1].clone())
        if self._untouched is not None and len(self.operations) < MOST_OPERATIONS and name != "__get__":
            for tensor in result if isinstance(result, (tuple, list)) else (result,):
                part = self._untouched(tensor) if isinstance(tensor, Tensor) and looks_plain(tensor) else None
                if part is not None and part.numel():
                    self.operations.append(_Operation(name.strip("_"), _line_inside(), _signature(part)))
        return result


def _signature(part: Tensor) -> Tensor:
    """A few numbers for each row: which row has changed shows, and nothing large is kept."""
    rows = part.reshape(part.shape[0], -1).double()
    weights = torch.linspace(1.0, 2.0, rows.shape[1], dtype=torch.float64, device=rows.device)
    return torch.stack([rows @ weights, rows.abs().sum(1)], 1).cpu()


def _line_inside() -> Place | None:
    """The line inside the model's own code that is being run; None where it has none."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and frame.f_code is not _Trials._forward.__code__:
        if called_from_user(frame):
            return frame.f_code.co_filename, frame.f_lineno
        frame = frame.f_back
    return None


def _difference(old: Tensor, new: Tensor) -> tuple[int, float]:
    """How many rows changed by more than rounding, and the largest change as a share of the spread."""
    if old.shape != new.shape:
        return 0, 0.0
    spread = float(old.double().std()) if old.numel() > 1 else 0.0
    rows = (old.double() - new.double()).abs().reshape(old.shape[0], -1).amax(1)
    scale = max(spread, float(old.double().abs().mean()) * 1e-3, 1e-12)
    tolerance = CHANGED if old.dtype in {torch.float32, torch.float64} else 50 * CHANGED
    return int((rows > tolerance * scale).sum()), float(rows.max()) / scale


def _differ(old: Tensor, new: Tensor) -> bool:
    scale = float(old.abs().mean()) + 1e-12
    return bool(((old - new).abs() > CHANGED * 0.1 * scale).any())


def _is_graph(tensors: list[Tensor], size: int) -> bool:
    """Whether what goes in describes a graph: edges, or a matrix of pairs."""
    for tensor in tensors[1:]:
        shape = list(tensor.shape)
        if (not tensor.is_floating_point() and len(shape) == 2 and shape[0] == 2 != size) or shape == [size, size]:
            return True
    return False


def _heads_later(tensor: Tensor, batch: int, length: int) -> Tensor:
    """Inside an attention the heads come before the positions: the other way round."""
    shape = list(tensor.shape)
    heads_first = len(shape) == 4 and shape[0] == batch and length not in {shape[1], shape[3]}
    return tensor.transpose(1, 2) if heads_first else tensor


def _is_square(output: Tensor, length: int) -> bool:
    """Whether either of two dimensions could be the positions."""
    return output.dim() == 3 and all(size in {length, length - 1} for size in output.shape[1:])


def _is_shifted(source: Tensor, target: Tensor, dim: int) -> bool:
    """Whether ``target`` is ``source`` one position later along ``dim``: the model predicts what comes next."""
    if source.dim() < 2 or source.shape[dim] < 4 or source.is_floating_point() != target.is_floating_point():
        return False
    length = source.shape[dim]
    ahead = source.narrow(dim, 1, length - 1)
    if target.numel() == source.numel():
        same = target.reshape(source.shape).narrow(dim, 0, length - 1)
    elif target.numel() == ahead.numel():
        same = target.reshape(ahead.shape)
    else:
        return False
    valid = same >= 0 if not same.is_floating_point() else torch.ones_like(same, dtype=torch.bool)
    # A constant input would be its own successor.
    moved = ahead != source.narrow(dim, 0, length - 1)
    judged = valid & moved
    return int(judged.sum()) >= 4 and float((same == ahead)[valid].double().mean()) > 0.95
