"""The user's source around a finding; a file that is not there has none."""

from __future__ import annotations

import tokenize

_AROUND = 2


def lines_of(path: str | None) -> list[str]:
    """The lines of a source file; none where it cannot be read."""
    if path is None:
        return []
    try:
        with tokenize.open(path) as file:  # in the encoding that the file declares
            return file.read().splitlines()
    except (OSError, SyntaxError, UnicodeError, ValueError):
        return []


def excerpt(path: str | None, line: int) -> list[tuple[int, str]]:
    """Line ``line`` and its neighbours, with their numbers; empty where it is not there."""
    lines = lines_of(path)
    if not 0 < line <= len(lines):
        return []
    first, last = max(1, line - _AROUND), min(len(lines), line + _AROUND)
    return [(number, lines[number - 1].expandtabs(4).rstrip()) for number in range(first, last + 1)]


def line_of(path: str | None, line: int) -> str:
    """Line ``line`` without its indentation; empty where it is not there."""
    return next((text.strip() for number, text in excerpt(path, line) if number == line), "")


def code_of(text: str) -> tuple[int, int]:
    """Where the code of a source line begins and ends: without indentation and comment."""
    begins = len(text) - len(text.lstrip())
    ends = len(text)
    quote = ""
    for at, character in enumerate(text):
        if quote:
            quote = "" if character == quote and text[at - 1] != "\\" else quote
        elif character in "'\"":
            quote = character
        elif character == "#":
            ends = at
            break
    return begins, max(len(text[:ends].rstrip()), begins)


def remedy_lines(remedy: str, path: str | None, line: int) -> list[str]:
    """The lines of a remedy, with the user's own line where it stands for it."""
    own = line_of(path, line) or "..."
    return [text.replace("{line}", own).rstrip() for text in remedy.splitlines() if text.strip()]
