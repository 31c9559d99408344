"""Small words that all renderers share: numbers, shapes, names from foreign code."""

from __future__ import annotations

import math
import unicodedata
from typing import TYPE_CHECKING

from stepscope.record.numbers import Number, to_float

if TYPE_CHECKING:
    from stepscope.pipeline.document import Stage
    from stepscope.record.look import Summary

#: Rows of the data flow; a deeper model is shown down to the depth that fits.
MOST_STAGES = 40


def number(value: Number | None, digits: int = 4) -> str:
    """A number in few characters; a dash where it is not known."""
    return "-" if value is None else f"{to_float(value):.{digits}g}"


def percent(share: float | None) -> str:
    """A share in percent with one decimal; a dash where it is not known."""
    return "-" if share is None else f"{100 * share:.1f} %"


def shape(sizes: list[int]) -> str:
    """``64 x 10``; ``scalar`` without dimensions."""
    return " x ".join(map(str, sizes)) or "scalar"


def clean(text: str, most: int = 200) -> str:
    """Foreign text on one line, without control or direction characters, not too long."""
    kept = "".join(c if unicodedata.category(c) not in {"Cc", "Cf", "Cs", "Zl", "Zp"} else "\ufffd" for c in text)
    return kept if len(kept) <= most else kept[: most - 1] + "\u2026"


def values_of(summary: Summary | None) -> list[str]:
    """The range and the mean of a tensor; of a scalar its value."""
    if summary is None or summary.low is None:
        return ["-"]
    if not summary.shape:
        return [number(summary.low, 6)]
    if summary.low == summary.high == "nan":
        return ["nan"]
    return [f"{number(summary.low, 3)} .. {number(summary.high, 3)}", f"mean {number(summary.mean, 3)}"]


def magnitude(summary: Summary | None) -> str:
    """The root mean square of a tensor; of a scalar its value."""
    if summary is None or summary.low is None:
        return "-"
    if not summary.shape:
        return number(summary.low, 3)
    return number(math.hypot(to_float(summary.mean), to_float(summary.std)), 3)


def first_values(summary: Summary | None, most: int = 4) -> str:
    """The first values of the first row of a tensor's corner."""
    if summary is None or summary.corner is None:
        return ""
    row = summary.corner
    while isinstance(row, list) and row and isinstance(row[0], list):
        row = row[0]
    if not isinstance(row, list):
        return number(row) if _is_number(row) else ""
    row = [value for value in row if _is_number(value)]  # the record does not say how deep it goes
    more = " ..." if len(row) > most or (summary.shape and summary.shape[-1] > most) else ""
    return " ".join(number(value, 3) for value in row[:most]) + more


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) or (isinstance(value, str) and value in {"nan", "inf", "-inf"})


def shown_stages(stages: list[Stage]) -> tuple[list[Stage], int]:
    """The stages down to the depth that still fits, and how many deeper ones are left out."""
    if len(stages) <= MOST_STAGES:
        return stages, 0
    deepest = max(stage.depth for stage in stages)
    for depth in range(deepest, -1, -1):
        kept = [stage for stage in stages if stage.depth <= depth]
        if len(kept) <= MOST_STAGES:
            return kept, len(stages) - len(kept)
    kept = [stage for stage in stages if stage.depth == 0][:MOST_STAGES]
    return kept, len(stages) - len(kept)


def agreement(difference: Number | None, *, agrees: bool | None) -> str:
    """Whether the re-derived step is what the optimizer did."""
    if agrees is None:
        return ""
    if agrees:
        return f"agrees (difference {number(difference, 2)}, within rounding)"
    return f"DIFFERS by {number(difference, 3)}: the optimizer did something else than this formula"
