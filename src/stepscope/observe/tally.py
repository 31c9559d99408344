"""Summing up the losses of regular updates until they are told as one stretch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepscope.record.events import LossTally
from stepscope.record.numbers import to_number

if TYPE_CHECKING:
    from stepscope.record.numbers import Number

_MOST_POINTS = 64


class Tally:
    """The losses of the updates of one optimizer within a stretch."""

    __slots__ = (
        "_every",
        "_points",
        "high",
        "judged",
        "known",
        "last",
        "low",
        "non_finite",
        "of",
        "right",
        "total",
        "updates",
    )

    def __init__(self) -> None:
        """Start at nothing."""
        self.updates = self.known = self.non_finite = 0
        self.right = self.of = self.judged = 0
        self.total = 0.0
        self.low = float("inf")
        self.high = float("-inf")
        self.last: float | None = None
        self._points: list[tuple[int, Number]] = []
        self._every = 1

    def add(self, value: float | None) -> None:
        """Count an update with this loss (None: not known)."""
        updates = self.updates
        self.updates = updates + 1
        if value is None:
            return
        self.last = value
        if value - value == 0.0:
            self.known += 1
            self.total += value
            self.low = min(self.low, value)
            self.high = max(self.high, value)
        else:
            self.non_finite += 1
        if updates % self._every == 0:
            self._points.append((updates, to_number(value)))
            if len(self._points) > _MOST_POINTS:
                self._points = self._points[::2]
                self._every *= 2

    def told(self) -> LossTally:
        """The tally as the record holds it."""
        return LossTally(
            updates=self.updates,
            known=self.known,
            mean=self.total / self.known if self.known else None,
            low=self.low if self.known else None,
            high=self.high if self.known else None,
            last=None if self.last is None else to_number(self.last),
            non_finite=self.non_finite,
            right=self.right,
            of=self.of,
            judged=self.judged,
            points=self._points,
        )
