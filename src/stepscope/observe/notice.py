"""Saying one thing to the person at the terminal, without touching the training's own output."""

import contextlib
import sys


def say(text: str) -> None:
    """Print ``text`` on standard error, as this tool; a closed standard error is no reason to fail."""
    if sys.stderr is None:
        return  # print would take standard output instead
    with contextlib.suppress(OSError, ValueError, AttributeError):
        print(f"stepscope: {text}", file=sys.stderr, flush=True)
