"""How findings put numbers and names into words."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stepscope.record.numbers import Number


def figure(value: Number | float, digits: int = 3) -> str:
    """A number in ``digits`` significant digits, as one would say it: 0.0123, 1.46, 3,120, 2.1e-07."""
    number = float(value)
    if not math.isfinite(number):
        return {math.inf: "inf", -math.inf: "-inf"}.get(number, "nan")
    if number == 0 or (number == int(number) and abs(number) < 1e6):
        return f"{int(number):,}"
    if abs(number) >= 1e6 or abs(number) < 1e-4:
        return f"{number:.{digits - 1}e}"
    decimals = max(digits - 1 - math.floor(math.log10(abs(number))), 0)
    return f"{number:,.{decimals}f}"


def share(value: float) -> str:
    """A share as a percentage: 0.5 is "50 %"."""
    return f"{figure(100 * value, 2)} %" if 0 < value < 1 else f"{round(100 * value)} %"


def count(number: int, noun: str) -> str:
    """A number with its noun: 1 update, 2 updates, 2 batches, 2 passes."""
    plural = f"{noun}es" if noun.endswith(("s", "ch", "x")) else f"{noun}s"
    return f"{number:,} {noun if number == 1 else plural}"


def listed(names: Sequence[str], most: int = 3) -> str:
    """Names in a row, the first few where they are many: a, b, c and 4 more."""
    if len(names) <= most:
        return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
    return f"{', '.join(names[:most])} and {len(names) - most} more"
