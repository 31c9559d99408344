"""A line chart in characters: dots of braille where the terminal has them, plain ASCII else."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from rich.cells import cell_len

from stepscope.record.numbers import is_finite, to_float
from stepscope.render.text import clean

if TYPE_CHECKING:
    from stepscope.pipeline.document import Curve

_BRAILLE = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
_MARKS = "*o+x#%@&"


def draw(curves: list[Curve], width: int, height: int, *, unicode: bool = True) -> str:
    """The curves over the number of updates; empty where no two points are finite."""
    series = [
        (clean(curve.name, 24), [(x, to_float(y)) for x, y in curve.points if is_finite(y)])
        for curve in curves[: len(_MARKS)]
    ]
    series = [(name, points) for name, points in series if points]
    xs = [x for _, points in series for x, _ in points]
    ys = [y for _, points in series for _, y in points]
    if len(xs) < 2 or min(xs) == max(xs):
        return ""
    low, high = min(ys), max(ys)
    labels = _labels(low, high)
    margin = max(map(len, labels)) + 1
    canvas = _Canvas(max(width - margin - 1, 10), max(height, 4), unicode=unicode)
    for position, (_, points) in enumerate(series):
        scaled = [((x - min(xs)) / (max(xs) - min(xs)), _share(y, low, high)) for x, y in points]
        canvas.line(scaled, position, joined=len(points) > 1 and position == 0)
    lines = []
    rows = canvas.rows()
    for at, row in enumerate(rows):
        label = {0: labels[0], len(rows) // 2: labels[1], len(rows) - 1: labels[2]}.get(at, "")
        lines.append(f"{label:>{margin}}{'┤' if unicode else '|'}{row}".rstrip())
    first, last = f"{min(xs):g}", f"{max(xs):g}"
    axis = first + f"update {last}".rjust(canvas.width - len(first))
    lines.append(" " * (margin + 1) + axis)
    if len(series) > 1:
        names = [f"{canvas.mark(at)} {name}" for at, (name, _) in enumerate(series)]
        lines += [" " * (margin + 1) + line for line in _legend(names, canvas.width)]
    return "\n".join(lines)


def _share(y: float, low: float, high: float) -> float:
    """How far up between ``low`` and ``high`` (a constant: half way), also where they are huge."""
    if low == high:
        return 0.5
    scale = 1.0 if math.isfinite(high - low) else 0.25
    return (y * scale - low * scale) / (high * scale - low * scale)


def _labels(low: float, high: float) -> list[str]:
    """Top, middle and bottom, with as many digits as it takes to tell them apart."""
    if low == high:
        return ["", f"{low:.4g}", ""]
    labels = []
    for digits in (4, 6, 8, 12, 17):
        labels = [f"{value:.{digits}g}" for value in (high, low / 2 + high / 2, low)]
        if len(set(labels)) == len(labels):
            break
    return labels


def _legend(names: list[str], width: int) -> list[str]:
    """The names side by side, as many in a line as fit."""
    lines: list[str] = []
    for name in names:
        if lines and cell_len(lines[-1]) + 3 + cell_len(name) <= width:
            lines[-1] += f"   {name}"
        else:
            lines.append(name)
    return lines


class _Canvas:
    """A grid of cells. The first series is drawn in fine dots, others with a mark of their own."""

    def __init__(self, width: int, height: int, *, unicode: bool) -> None:
        self.width = width
        self._height = height
        self._unicode = unicode
        self._dots = [[0] * width for _ in range(height)]
        self._marks: dict[tuple[int, int], str] = {}

    def mark(self, series: int) -> str:
        """What stands for a series in the legend."""
        return "\u2812" if self._unicode and series == 0 else _MARKS[series]

    def line(self, points: list[tuple[float, float]], series: int, *, joined: bool) -> None:
        """Draw points whose coordinates lie between 0 and 1."""
        previous: tuple[float, float] | None = None
        for x, y in points:
            if joined and previous is not None:
                self._join(previous, (x, y), series)
            else:
                self._put(x, y, series)
            previous = (x, y)

    def _join(self, start: tuple[float, float], end: tuple[float, float], series: int) -> None:
        across = abs(end[0] - start[0]) * self.width * 2
        up = abs(end[1] - start[1]) * self._height * 4
        count = max(1, 2 * math.ceil(max(across, up)))  # twice as fine as the dots: none is stepped over
        for step in range(count + 1):
            share = step / count
            x = start[0] + (end[0] - start[0]) * share
            self._put(x, start[1] + (end[1] - start[1]) * share, series)

    def _put(self, x: float, y: float, series: int) -> None:
        column = min(int(x * self.width * 2), self.width * 2 - 1)
        row = min(int((1 - y) * self._height * 4), self._height * 4 - 1)
        if self._unicode and series == 0:
            self._dots[row // 4][column // 2] |= _BRAILLE[row % 4][column % 2]
        else:
            self._marks.setdefault((row // 4, column // 2), _MARKS[series])

    def rows(self) -> list[str]:
        """The grid as text."""
        return [
            "".join(
                self._marks.get((at, column)) or (chr(0x2800 + dots) if dots else " ")
                for column, dots in enumerate(row)
            )
            for at, row in enumerate(self._dots)
        ]
