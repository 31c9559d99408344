"""Measuring tensors: a few numbers each, without waiting for a GPU.

Statistics are computed on the device the tensor lives on; :class:`Fetch` brings many numbers
over in one copy that nobody waits for.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Mapping
from contextlib import suppress
from copy import copy
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from stepscope.observe.quiet import unseen
from stepscope.record.events import Shape
from stepscope.record.look import Corner, Summary
from stepscope.record.numbers import Number, to_number

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Larger tensors are measured on an even sample of this many elements.
MOST_ELEMENTS = 1 << 22
ROWS, COLUMNS = 4, 6
MOST_TENSORS = 8
_DEPTH = 4

_PLAIN = (Tensor, nn.Parameter, nn.Buffer)


class Fetch:
    """Numbers on their way from a device: :meth:`ready` says whether reading would wait."""

    @unseen
    def __init__(self, tensors: list[Tensor]) -> None:
        """Start bringing 0-dimensional ``tensors`` (of one device), or one vector, over."""
        self._values: list[float] | None = None
        self._event: Any = None
        if not tensors:
            self._values = []
            return
        single = len(tensors) == 1 and tensors[0].dim() == 1
        stacked = tensors[0] if single else torch.stack([t.detach().to(torch.float64) for t in tensors])
        if stacked.is_cuda:
            self._copy = torch.empty(stacked.shape, dtype=stacked.dtype, pin_memory=True)
            self._copy.copy_(stacked, non_blocking=True)
            self._event = torch.cuda.Event()
            self._event.record()
        else:
            self._copy = stacked

    def ready(self) -> bool:
        """Whether the numbers are here."""
        return self._event is None or bool(self._event.query())

    @unseen
    def values(self) -> list[float]:
        """The numbers; waits where they are still on their way."""
        if self._values is None:
            if self._event is not None:
                self._event.synchronize()
            self._values = self._copy.tolist()
        return self._values


def device_event() -> Any:
    """An event behind all work queued on the GPU so far; None without one."""
    if not torch.cuda.is_initialized():
        return None
    event = torch.cuda.Event()
    event.record()
    return event


def looks_plain(tensor: Any) -> bool:
    """Whether the values of ``tensor`` may be read: a dense strided tensor that has data."""
    return (
        type(tensor) in _PLAIN
        and tensor.layout is torch.strided
        and tensor.device.type != "meta"
        and not tensor.is_quantized
        and not tensor.is_nested
        and not in_transform()
    )


def in_transform() -> bool:
    """Whether torch.func is transforming code (vmap, grad): no tensor has plain values in there."""
    return torch._C._functorch.peek_interpreter_stack() is not None


def shape_of(tensor: Tensor) -> list[int]:
    """The shape; -1 for each size that is not one number, empty where the tensor tells none."""
    try:
        return [size if type(size) is int else -1 for size in tensor.shape]
    except RuntimeError:  # nested tensors and parameters that are not initialised have no shape
        return []


def thinned(tensor: Tensor) -> Tensor:
    """A view of at most :data:`MOST_ELEMENTS` elements, evenly spread, of a contiguous tensor."""
    if tensor.numel() <= MOST_ELEMENTS or not tensor.is_contiguous():
        return tensor
    step = -(-tensor.numel() // MOST_ELEMENTS)
    while tensor.dim() and math.gcd(step, tensor.shape[-1]) > 1:
        step += 1  # else every row would give the same few columns
    return tensor.view(-1)[::step]


def _as_real(tensor: Tensor) -> Tensor:
    if tensor.is_complex():
        return tensor.abs()
    if tensor.dtype in {torch.float32, torch.float64}:
        return tensor
    return tensor.to(torch.float64 if not tensor.is_floating_point() else torch.float32)


def corner_of(tensor: Tensor) -> Tensor:
    """The first :data:`ROWS` x :data:`COLUMNS` values of the first matrix in ``tensor``."""
    while tensor.dim() > 2:
        tensor = tensor[0]
    if tensor.dim() == 2:
        return tensor[:ROWS, :COLUMNS]
    return tensor[:COLUMNS] if tensor.dim() == 1 else tensor


class Reading:
    """A tensor being measured; :meth:`summary` is called once its numbers are here."""

    __slots__ = ("_corner_shape", "_count", "_fetch", "_head", "_sampled", "_tensors", "name")

    def __init__(self, tensor: Any, name: str = "") -> None:
        """Measure ``tensor`` now, on its device."""
        self.name = name
        self._head = (shape_of(tensor), str(tensor.dtype).removeprefix("torch."))
        self._tensors: list[Tensor] = []
        self._fetch: Fetch | None = None
        self._sampled = self._count = 0
        self._corner_shape: list[int] | None = None
        if looks_plain(tensor) and tensor.numel():
            self._measure(tensor.detach())

    def _measure(self, tensor: Tensor) -> None:
        part = thinned(tensor)
        if part is not tensor:
            self._sampled = part.numel()
        real = _as_real(part)
        low, high = torch.aminmax(real)
        mean, std = _mean_and_std(real)
        self._count = real.numel()
        non_finite = None
        on_host = tensor.is_cpu
        if not on_host or self._sampled or not _finite(mean) or not _finite(std):
            non_finite = (~torch.isfinite(tensor)).sum()
            if on_host and not int(non_finite):
                mean, std = _mean_and_std(real.double())  # the sum of large floats may overflow
        numbers = [low, high, mean, std, torch.count_nonzero(real)]
        if non_finite is not None:
            numbers.append(non_finite)
        corner = _as_real(corner_of(tensor))
        self._corner_shape = list(corner.shape)
        # A copy: what is measured now may be changed in place before the numbers are told.
        flat = corner.clone().reshape(-1)
        if on_host:
            self._tensors = [*numbers, flat]
        else:
            self._fetch = Fetch([*numbers, *flat.unbind()])

    def named(self, name: str) -> Reading:
        """The same numbers under another name."""
        if name == self.name:
            return self
        other = copy(self)
        other.name = name
        return other

    def ready(self) -> bool:
        """Whether :meth:`summary` would return without waiting."""
        return self._fetch is None or self._fetch.ready()

    def summary(self) -> Summary:
        """The numbers."""
        shape, dtype = self._head
        if self._corner_shape is None:
            return Summary(shape=shape, dtype=dtype, name=self.name)
        if self._fetch is not None:
            values = self._fetch.values()
            numbers, corner = values[:6], values[6:]
        else:
            numbers = [float(t) for t in self._tensors[:-1]]
            corner = self._tensors[-1].tolist()
        low, high, mean, std = (to_number(value) for value in numbers[:4])
        return Summary(
            shape=shape,
            dtype=dtype,
            name=self.name,
            low=low,
            high=high,
            mean=mean,
            std=std,
            zeros=1.0 - numbers[4] / self._count,
            non_finite=int(numbers[5]) if len(numbers) > 5 else 0,
            corner=_nest([to_number(value) for value in corner], self._corner_shape),
            sampled=self._sampled,
        )


def _mean_and_std(real: Tensor) -> tuple[Tensor, Tensor]:
    mean = real.mean()
    # Two vectorised passes: as exact as torch.std, and several times as fast.
    return mean, torch.linalg.vector_norm(real - mean) / real.numel() ** 0.5


def _finite(value: Tensor) -> bool:
    number = float(value)
    return number - number == 0.0


def _nest(values: list[Number], shape: list[int]) -> Corner:
    if len(shape) == 2:
        width = shape[1]
        return [values[start : start + width] for start in range(0, len(values), width)]
    return values if shape else values[0]


class Gauge:
    """Measures each tensor once for as long as it is alive and unchanged."""

    def __init__(self) -> None:
        """Start with nothing measured."""
        self._seen: dict[int, tuple[weakref.ref[Tensor], int, Reading]] = {}

    def read(self, tensor: Any, name: str = "") -> Reading:
        """Measure ``tensor``, or return the reading of it that is still true."""
        if not isinstance(tensor, Tensor) or type(tensor) not in _PLAIN or tensor.is_inference():
            return Reading(tensor, name)
        known = self._seen.get(id(tensor))
        if known is not None and known[0]() is tensor and known[1] == tensor._version:
            return known[2].named(name)
        reading = Reading(tensor, name)
        self._seen[id(tensor)] = (weakref.ref(tensor), tensor._version, reading)
        return reading


def tensors_in(value: Any, name: str = "", depth: int = 0) -> Iterator[tuple[str, Tensor]]:
    """The tensors in nested tuples, mappings and dataclasses, each with its keyword or key."""
    if isinstance(value, Tensor):
        yield name, value
    elif depth >= _DEPTH:
        return
    elif isinstance(value, Mapping):
        for key in list(value)[: 4 * MOST_TENSORS]:
            yield from tensors_in(value[key], str(key), depth + 1)
    elif isinstance(value, (list, tuple)):
        for item in value[: 4 * MOST_TENSORS]:
            yield from tensors_in(item, name, depth + 1)
    elif is_dataclass(value) and not isinstance(value, type):
        for field in fields(value):
            yield from tensors_in(getattr(value, field.name, None), field.name, depth + 1)


def first_tensors(*values: Any, **named: Any) -> list[tuple[str, Tensor]]:
    """The first few tensors of a call's arguments or results."""
    found: list[tuple[str, Tensor]] = []
    with suppress(Exception):  # a container of the user's may raise; that is no failure of ours
        for name, value in [*(("", v) for v in values), *named.items()]:
            for item in tensors_in(value, name):
                found.append(item)
                if len(found) == MOST_TENSORS:
                    return found
    return found


def number_of(tensors: list[Tensor]) -> float | Tensor | None:
    """The sum of scalar ``tensors``: a float from the CPU, a tensor still on another device."""
    if in_transform():
        return None
    if len(tensors) == 1 and type(tensors[0]) is Tensor and tensors[0].is_cpu and tensors[0].numel() == 1:
        return tensors[0].item()  # the usual case, on the hot path
    total: float | Tensor | None = None
    for tensor in tensors:
        if tensor.numel() != 1 or not looks_plain(tensor):
            return None
        value = tensor.item() if tensor.is_cpu else tensor.detach().reshape(())
        total = value if total is None else total + value
    return total


def shapes_of(value: Any) -> list[Shape]:
    """The shapes of the first few tensors in a batch or a call."""
    return [
        Shape(name, shape_of(tensor), str(tensor.dtype).removeprefix("torch.")) for name, tensor in first_tensors(value)
    ]
