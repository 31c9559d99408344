"""Telling samples apart without keeping them: a hash of each, computed where the tensor lives."""

from __future__ import annotations

from copy import copy
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import torch

from stepscope.observe.gauge import Fetch, looks_plain, shape_of
from stepscope.record.numbers import to_number
from stepscope.record.samples import Mark

if TYPE_CHECKING:
    from torch import Tensor

#: Samples that are told of one tensor.
MOST_ROWS = 256
#: Elements of one tensor that are hashed; of more, an even choice of columns.
MOST_ELEMENTS = 1 << 18
#: Elements among which different numbers are counted.
_MOST_PROBED = 1024
_INTEGERS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
#: 52 bits: a float64, in which numbers travel from a device, holds them exactly.
_KEPT = (1 << 52) - 1
_FIGURES = 5  # low, high, mean, std and grain come before the samples


class Marking:
    """A mark on its way: :meth:`mark` does not wait once it is :meth:`ready`."""

    __slots__ = ("_columns", "_fetch", "_hashed", "_head", "_name", "rows")

    def __init__(self, tensor: Tensor, name: str = "") -> None:
        """Hash and measure ``tensor``, which has at least one dimension, on its device."""
        self._name = name
        self._head = (shape_of(tensor), str(tensor.dtype).removeprefix("torch."))
        self._fetch: Fetch | None = None
        self._columns = (0, 0)
        self._hashed = False
        self.rows = 0
        if looks_plain(tensor) and tensor.numel():
            self._measure(tensor.detach())

    def _measure(self, tensor: Tensor) -> None:
        count = tensor.shape[0]
        flat = torch.view_as_real(tensor).reshape(count, -1) if tensor.is_complex() else tensor.reshape(count, -1)
        width = flat.shape[1]
        part = flat[:, :: max(-(-width * count // MOST_ELEMENTS), 1)].contiguous()
        self._columns = (part.shape[1], width)
        real = part if part.dtype in {torch.float32, torch.float64} else part.to(torch.float32)
        low, high = torch.aminmax(real)
        numbers = torch.stack([low, high, real.mean(), real.std(correction=0), _grain(real)]).to(torch.float64)
        self._hashed = width > 1 or count > MOST_ROWS
        samples = _smallest(_hashes(part)) if self._hashed else flat[:, 0]
        values = flat[:MOST_ROWS, 0] if self._hashed and width == 1 else flat[:0, 0]
        self.rows = len(samples)
        self._fetch = Fetch([torch.cat([numbers, samples.to(torch.float64), values.to(torch.float64)])])

    def named(self, name: str) -> Marking:
        """The same mark under another name."""
        other = copy(self)
        other._name = name
        return other

    def ready(self) -> bool:
        """Whether the numbers are here."""
        return self._fetch is None or self._fetch.ready()

    def mark(self) -> Mark:
        """The mark."""
        shape, dtype = self._head
        if self._fetch is None:
            return Mark(shape=shape, dtype=dtype, name=self._name)
        found = self._fetch.values()
        low, high, mean, std, grain = (to_number(value) for value in found[:_FIGURES])
        samples, values = found[_FIGURES : _FIGURES + self.rows], found[_FIGURES + self.rows :]
        return Mark(
            shape=shape,
            dtype=dtype,
            name=self._name,
            rows=[int(value) for value in samples] if self._hashed else [],
            values=[to_number(value) for value in (values if self._hashed else samples)],
            low=low,
            high=high,
            mean=mean,
            std=std,
            grain=grain,
            thinned=self._columns[0] < self._columns[1],
        )


def whole_mark(tensor: Tensor) -> Tensor:
    """One hash of a whole tensor, on its device: equal tensors have equal ones, in every process."""
    flat = torch.view_as_real(tensor) if tensor.is_complex() else tensor
    flat = flat.detach().reshape(1, -1)
    return _hashes(flat[:, :: max(-(-flat.shape[1] // MOST_ELEMENTS), 1)].contiguous())[0]


def _grain(real: Tensor) -> Tensor:
    """The share of different numbers among some of the elements."""
    flat = real.reshape(-1)
    probed = flat[:: max(flat.numel() // _MOST_PROBED, 1)][:_MOST_PROBED].sort().values
    return ((probed[1:] != probed[:-1]).sum() + 1).to(real.dtype) / probed.numel()


def _hashes(part: Tensor) -> Tensor:
    """One number of 52 bits per row: the bits of its elements, weighted, summed and mixed."""
    if part.is_floating_point():
        part = part.view(_INTEGERS[part.element_size()])
    bits = part.to(torch.int64)
    mixed = (bits * _weights(part.shape[1], part.device)).sum(1)
    mixed = (mixed ^ (mixed >> 29)) * 0x1B03738712FAD5C9
    return (mixed ^ (mixed >> 32)) & _KEPT


@lru_cache(maxsize=8)
def _weights(count: int, device: Any) -> Tensor:
    """``count`` odd numbers of 64 bits, the same in every process; no generator is asked."""
    mixed = torch.arange(1, count + 1, dtype=torch.int64, device=device) * -7046029254386353131
    mixed = (mixed ^ (mixed >> 30)) * -4658895280553007687
    mixed = (mixed ^ (mixed >> 27)) * -7723592293110705685
    return (mixed ^ (mixed >> 31)) | 1


def _smallest(hashes: Tensor) -> Tensor:
    """Of many hashes the smallest, in the order of the batch: two such choices can be compared."""
    if len(hashes) <= MOST_ROWS:
        return hashes
    return hashes[hashes.topk(MOST_ROWS, largest=False).indices.sort().values]
