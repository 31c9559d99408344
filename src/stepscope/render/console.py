"""From parts as rich draws them to plain text, or to text with colours."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from rich.console import Console

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import RenderableType


#: A width for lines that are not to be broken: one that is a whole, or code that is to be copied.
ENDLESS = 100_000


def paint(parts: Iterable[RenderableType], *, width: int, color: bool, unicode: bool = True) -> str:
    """The parts one below the other, at most ``width`` columns wide.

    No line ends in blanks, and there are never two empty lines together.
    """
    file = io.StringIO()
    console = Console(
        file=file,
        width=width,
        force_terminal=color,
        color_system="standard" if color else None,
        no_color=not color,
        legacy_windows=False,
        highlight=False,
        emoji=False,
        markup=False,
        safe_box=not unicode,
    )
    for part in parts:
        console.print(part)
    return _tidy(file.getvalue())


def _tidy(text: str) -> str:
    lines: list[str] = []
    for line in text.split("\n"):
        kept = line.rstrip()
        if kept or (lines and lines[-1]):
            lines.append(kept)
    return "\n".join(lines).rstrip("\n") + "\n"
