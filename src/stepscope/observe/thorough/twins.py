"""Two names in the script that are taken for two modules and are one: found in the frames that run."""

from __future__ import annotations

from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

from torch import nn

from stepscope.observe.frames import all_frames
from stepscope.observe.naming import visible_in
from stepscope.observe.thorough.sources import Pair, pairs
from stepscope.observe.thorough.states import same_memory
from stepscope.record.holding import Twins

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

#: Objects whose attributes are looked through for a name.
MOST_OBJECTS = 200


def find_twins(modules: Iterable[nn.Module]) -> list[Twins]:
    """Pairs of names that a statement brings in line, and that share their parameters all the same."""
    known = pairs()
    if not known:
        return []
    places = list(_places(modules))
    bound = {frozenset((pair.first, pair.second)): pair for pair in known if pair.bound}
    found: list[Twins] = []
    for pair in known:
        names = frozenset((pair.first, pair.second))
        if not pair.bound and not any({one.first, one.second} == names for one in found):
            found += _twins(bound.get(names, pair), places)
    return found


def _twins(pair: Pair, places: list[dict[str, Any]]) -> Iterator[Twins]:
    for names in places:
        first, second = _resolve(pair.first, names), _resolve(pair.second, names)
        if first is None or second is None:
            continue
        mine = dict(nn.Module.named_parameters(first))
        theirs = dict(nn.Module.named_parameters(second))
        shared = sum(name in theirs and same_memory(value, theirs[name]) for name, value in mine.items())
        if mine and shared == len(mine):
            yield Twins(
                first=pair.first,
                second=pair.second,
                cls=type(first).__name__,
                one=first is second,
                bound=pair.bound,
                parameters=shared,
                file=pair.file,
                line=pair.line,
            )
            return


def _places(modules: Iterable[nn.Module]) -> Iterator[dict[str, Any]]:
    """Where the names of a statement may be found: the visible variables, and each object's attributes as ``self``."""
    objects: dict[int, Any] = {id(module): module for module in modules}
    for frame, is_user in all_frames():
        if is_user:
            names = visible_in(frame)
            yield names
            for value in list(names.values())[:MOST_OBJECTS]:
                if not isinstance(value, (type, ModuleType, FunctionType)):
                    objects.setdefault(id(value), value)
    for value in list(objects.values())[:MOST_OBJECTS]:
        yield {"self": value}


def _resolve(name: str, names: dict[str, Any]) -> nn.Module | None:
    """The module that a dotted name stands for, found without running code of the user's."""
    head, *rest = name.split(".")
    value = names.get(head)
    for part in rest:
        try:
            attributes = object.__getattribute__(value, "__dict__")
        except AttributeError:
            return None
        value = attributes.get(part)
        if value is None:
            value = (attributes.get("_modules") or {}).get(part)
    return value if isinstance(value, nn.Module) else None
