"""What the script itself calls an object: the name of the variable that holds it."""

from __future__ import annotations

import sys
from inspect import CO_OPTIMIZED
from typing import TYPE_CHECKING, Any

from stepscope.observe.frames import user_frames

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import FrameType

_MOST_NAMES = 2000
#: Before Python 3.13 a function's frame keeps the snapshot of its variables that is asked for, and every tensor in it.
_SNAPSHOTS = sys.version_info < (3, 13)
#: References to a snapshot of local variables that only its frame and we hold: the frame's, ours, the call's.
_OURS = 3


def name_in_script(thing: Any, fallback: str) -> str:
    """The variable (or attribute of ``self``) that holds ``thing``, nearest frame first."""
    for frame in user_frames():
        names = frame.f_locals
        found = _holder(names, thing)
        if found is None and "self" in names:
            found = _holder(getattr(names["self"], "__dict__", {}), thing)
            found = found or _holder(getattr(names["self"], "_modules", {}), thing)
        if _SNAPSHOTS and frame.f_code.co_flags & CO_OPTIMIZED and sys.getrefcount(names) <= _OURS:
            names.clear()
        if found is not None:
            return found
    return fallback


def visible_in(frame: FrameType) -> dict[str, Any]:
    """The variables of a frame by name, local ones first."""
    names = frame.f_locals
    visible = {**frame.f_globals, **names}
    if _SNAPSHOTS and frame.f_code.co_flags & CO_OPTIMIZED and sys.getrefcount(names) <= _OURS:
        names.clear()
    return visible


def _holder(names: Mapping[str, Any], thing: Any) -> str | None:
    if len(names) > _MOST_NAMES:
        return None
    for name, value in list(names.items()):
        if value is thing and name not in {"self", "_"}:
            return name
    return None
