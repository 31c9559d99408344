"""What the script itself calls an object: the name of the variable that holds it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stepscope.observe.frames import locals_of, user_frames

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import FrameType

_MOST_NAMES = 2000


def name_in_script(thing: Any, fallback: str) -> str:
    """The variable (or attribute of ``self``) that holds ``thing``, nearest frame first."""
    for frame in user_frames():
        names = locals_of(frame)
        found = _holder(names, thing)
        if found is None and "self" in names:
            found = _holder(getattr(names["self"], "__dict__", {}), thing)
            found = found or _holder(getattr(names["self"], "_modules", {}), thing)
        if found is not None:
            return found
    return fallback


def visible_in(frame: FrameType) -> dict[str, Any]:
    """The variables of a frame by name, local ones first."""
    return {**frame.f_globals, **locals_of(frame)}


def _holder(names: Mapping[str, Any], thing: Any) -> str | None:
    if len(names) > _MOST_NAMES:
        return None
    for name, value in list(names.items()):
        if value is thing and name not in {"self", "_"}:
            return name
    return None
