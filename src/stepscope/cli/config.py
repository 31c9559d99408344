"""``[tool.stepscope]`` in the project's ``pyproject.toml``."""

from __future__ import annotations

import difflib
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from stepscope.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

#: How many updates are seen before the script is ended, and how long that may take.
Updates = int | Literal["all"]


@dataclass(frozen=True)
class Settings:
    """What a project wants of every check; None or nothing where it does not say. ``source`` is the file."""

    source: Path | None = None
    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    updates: Updates | None = None
    seconds: float | None = None


def find(folder: Path) -> Settings:
    """The settings for scripts in ``folder``: of the nearest ``pyproject.toml`` upwards that has any.

    Raises:
        UsageError: that file cannot be read, or says what cannot be.
    """
    for place in (folder, *folder.parents):
        path = place / "pyproject.toml"
        if path.is_file():
            table = _table(path)
            if table is not None:
                return _settings(path, table)
    return Settings()


def _table(path: Path) -> object:
    try:
        tools = tomllib.loads(path.read_text(encoding="utf-8")).get("tool", {})
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from None
    except (UnicodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{path} is no TOML: {error}") from None
    return tools.get("stepscope") if isinstance(tools, dict) else None


def _settings(path: Path, table: object) -> Settings:
    if not isinstance(table, dict):
        raise UsageError(f"{path}: tool.stepscope must be a table")
    readers = {"select": _names, "ignore": _names, "updates": _updates, "seconds": _seconds}
    known: dict[str, Any] = {}
    for key, value in table.items():
        if key not in readers:
            near = difflib.get_close_matches(key, readers, n=1)
            hint = f"Did you mean {near[0]}?" if near else f"There are {', '.join(readers)}."
            raise UsageError(f"{path}: [tool.stepscope] has no key {key!r}. {hint}")
        known[key] = readers[key](value)
        if known[key] is None:
            raise UsageError(f"{path}: {key} in [tool.stepscope] must be {_MUST_BE[key]}")
    return Settings(path, **known)


_MUST_BE = {
    "select": "a list of rules",
    "ignore": "a list of rules",
    "updates": "a number of updates from 1, or 'all'",
    "seconds": "a number above 0",
}


def _names(value: object) -> tuple[str, ...] | None:
    fits = isinstance(value, list) and all(isinstance(name, str) for name in value)
    return tuple(value) if isinstance(value, list) and fits else None


def _updates(value: object) -> Updates | None:
    if value == "all":
        return "all"
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _seconds(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0 else None
