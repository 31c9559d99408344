"""Floats that survive JSON.

JSON has no NaN and no infinity, and a training run that goes wrong is full of both, so a
number in the record is a float or one of three words.
"""

import math
from typing import Any, Literal, TypeAlias

Word: TypeAlias = Literal["nan", "inf", "-inf"]
Number: TypeAlias = float | Word

#: The plain settings of an optimizer or scheduler (a number that JSON lacks stands as its word).
Options: TypeAlias = dict[str, bool | int | float | str | list[Any] | None]


def to_number(value: float) -> Number:
    """Return ``value``, or the word for it where JSON has no such number."""
    if value - value == 0.0:  # false for NaN and both infinities; cheaper than math.isfinite
        return value
    if math.isnan(value):
        return "nan"
    return "inf" if value > 0 else "-inf"


def to_float(number: Number | None) -> float:
    """Return the float that ``number`` stands for; ``None`` (not known) becomes NaN."""
    return math.nan if number is None else float(number)


def is_finite(number: Number | None) -> bool:
    """Whether ``number`` is known and finite."""
    return number is not None and not isinstance(number, str)
