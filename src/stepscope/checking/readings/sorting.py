"""Whether the labels of training batches come sorted."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stepscope.record.numbers import Number

#: Batches are joined to windows of at least so many samples: a single sample is always of one class.
WINDOW = 16
#: So many windows must have been seen.
FEWEST = 4
#: Classes are few: at most one for so many samples.
SAMPLES_PER_CLASS = 8


@dataclass(frozen=True)
class Sorting:
    """How labels lie in ``windows`` windows of ``size`` samples.

    ``a_window`` is the mean number of different labels in a window, ``classes`` that in all.
    ``excess`` is 0 where labels are mixed, 1 where each window holds a single one.
    """

    windows: int
    size: float
    a_window: float
    classes: int
    excess: float


def sorting(batches: Sequence[Sequence[Number]]) -> Sorting | None:
    """How the labels of successive batches lie; None where too few were seen, or they are no classes."""
    windows: list[list[Number]] = []
    for labels in batches:
        if windows and len(windows[-1]) < WINDOW:
            windows[-1].extend(labels)
        else:
            windows.append(list(labels))
    windows = [window for window in windows if len(window) >= WINDOW // 2]
    total = Counter(label for window in windows for label in window)
    count = sum(total.values())
    if len(windows) < FEWEST or len(total) * SAMPLES_PER_CLASS > count:
        return None
    inside = sum(_agreement(Counter(window)) for window in windows) / len(windows)
    overall = _agreement(total)
    return Sorting(
        windows=len(windows),
        size=count / len(windows),
        a_window=sum(len(set(window)) for window in windows) / len(windows),
        classes=len(total),
        excess=(inside - overall) / (1 - overall) if overall < 1 else 0.0,
    )


def _agreement(counted: Counter[Number]) -> float:
    """How likely two different samples have the same label."""
    count = sum(counted.values())
    pairs = count * (count - 1)
    return sum(n * (n - 1) for n in counted.values()) / pairs if pairs else 1.0
