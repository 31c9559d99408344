"""What batches held: their samples as numbers that can be compared, never as values."""

from __future__ import annotations

import msgspec

from stepscope.record.numbers import Number


class Mark(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A tensor by its samples, which lie along its first dimension.

    ``rows`` holds a hash of each sample in order; equal samples of equal dtype have equal hashes, in
    every process. Of more than 256 samples those with the 256 smallest hashes are kept, so that two
    such marks can still be compared. ``values`` are the samples themselves where each is one number
    (then, up to 256 of them, there are no ``rows``). ``grain`` is the share of different numbers
    among up to 1024 elements: near 1 for measurements, near 0 for labels, ids and pixels.
    ``thinned``: the hashes come from an even choice of columns. ``low`` is None where nothing could
    be measured.
    """

    shape: list[int]
    dtype: str
    name: str = ""
    rows: list[int] = []
    values: list[Number] = []
    low: Number | None = None
    high: Number | None = None
    mean: Number | None = None
    std: Number | None = None
    grain: Number = 0.0
    thinned: bool = False

    @property
    def samples(self) -> list[Number]:
        """What tells one sample from another, in order."""
        return list(self.rows) if self.rows else self.values

    @property
    def whole(self) -> bool:
        """Whether every sample is told."""
        return bool(self.shape) and len(self.samples) == self.shape[0]

    @property
    def floats(self) -> bool:
        """Whether it holds floating-point numbers."""
        return "float" in self.dtype

    @property
    def labels(self) -> bool:
        """Whether each sample is one whole number: a class, or an id."""
        return bool(self.values) and all(float(value).is_integer() for value in self.values)


class OwnGenerator(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A random generator that a dataset (or its transform, its collate function) holds.

    ``name`` is how one reaches it from the dataset, ``file`` and ``line`` where it is assigned.
    """

    name: str
    file: str | None = None
    line: int = 0
