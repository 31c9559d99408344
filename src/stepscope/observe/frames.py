"""Which line of the user's code an event belongs to.

The nearest frame that belongs neither to torch nor to an installed package; where there is
none (a script run by an installed tool), the nearest outside torch.
"""

from __future__ import annotations

import site
import sys
import sysconfig
from inspect import CO_OPTIMIZED
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

_USER, _PACKAGE, _SKIPPED = 0, 1, 2

_OWN = str(Path(__file__).resolve().parents[1]) + "/"


def _installed_roots() -> tuple[str, ...]:
    names = {sysconfig.get_path(name) for name in ("purelib", "platlib")}
    names.update(site.getsitepackages() if hasattr(site, "getsitepackages") else ())
    names.add(site.getusersitepackages() or "")
    return tuple(str(Path(name)) + "/" for name in names if name)


_INSTALLED = _installed_roots()
_STANDARD = tuple(str(Path(p)) + "/" for p in {sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")} if p)
_TORCH = ("/torch/", "/functorch/", "/torchgen/")

#: Before Python 3.13 a function's frame keeps the snapshot of its variables that is asked for, and every tensor in it.
_SNAPSHOTS = sys.version_info < (3, 13)
#: References to a snapshot of local variables that only its frame and we hold: the frame's, ours, the call's.
_OURS = 3

_kinds: dict[str, int] = {}
_scripts: set[str] = set()


def count_as_user(path: str) -> None:
    """Take the file ``path`` for the user's own, wherever it lies."""
    _scripts.add(path)
    _kinds.pop(path, None)


def _kind(filename: str) -> int:
    kind = _kinds.get(filename)
    if kind is None:
        kind = _kinds[filename] = _classify(filename)
    return kind


def _classify(filename: str) -> int:
    if filename in _scripts:
        return _USER
    if filename.startswith("<") and not filename.startswith(("<stdin>", "<ipython")):
        return _SKIPPED
    if filename.startswith(_OWN):
        return _SKIPPED
    for root in _INSTALLED:
        if filename.startswith(root):
            inside = "/" + filename[len(root) :]
            return _SKIPPED if inside.startswith(_TORCH) else _PACKAGE
    if filename.startswith(_STANDARD):
        return _SKIPPED
    return _USER


def user_line(depth: int = 1) -> tuple[str | None, int]:
    """File and line of the user's code that is being run; ``(None, 0)`` where there is none."""
    frame: FrameType | None = sys._getframe(depth)
    fallback: FrameType | None = None
    while frame is not None:
        kind = _kinds.get(frame.f_code.co_filename)
        if kind is None:
            kind = _kind(frame.f_code.co_filename)
        if kind == _USER:
            return frame.f_code.co_filename, frame.f_lineno or 0
        if kind == _PACKAGE and fallback is None:
            fallback = frame
        frame = frame.f_back
    if fallback is not None:
        return fallback.f_code.co_filename, fallback.f_lineno or 0
    return None, 0


def locals_of(frame: FrameType) -> dict[str, Any]:
    """The local variables of a frame, by name.

    Read no ``f_locals`` elsewhere: a function's frame would keep what it held at that moment alive.
    """
    names = frame.f_locals
    if not _SNAPSHOTS or not frame.f_code.co_flags & CO_OPTIMIZED:
        return dict(names)
    copied = dict(names)
    if sys.getrefcount(names) <= _OURS:  # else the script itself has asked for them
        names.clear()
    return copied


def user_frames() -> Iterator[FrameType]:
    """The frames of the user's code, nearest first."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if _kind(frame.f_code.co_filename) == _USER:
            yield frame
        frame = frame.f_back


def all_frames() -> Iterator[tuple[FrameType, bool]]:
    """The frames that are running, nearest first, each with whether it is the user's code."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        yield frame, _kind(frame.f_code.co_filename) == _USER
        frame = frame.f_back


def user_files() -> list[str]:
    """The files of the user's code that have been met so far."""
    return [name for name, kind in list(_kinds.items()) if kind == _USER]


def called_from_user(frame: FrameType | None) -> bool:
    """Whether ``frame`` itself is the user's code."""
    return frame is not None and _kind(frame.f_code.co_filename) == _USER


def is_users(filename: str) -> bool:
    """Whether a file is the user's own code."""
    return _kind(filename) == _USER


def is_own(filename: str) -> bool:
    """Whether a file is part of stepscope and not run as the user's script."""
    return filename.startswith(_OWN) and filename not in _scripts
