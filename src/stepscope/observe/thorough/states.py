"""State dicts on their way: which are the live weights themselves, and what a checkpoint held.

A state dict shares the memory of its module. One that is kept for later, and not copied, goes on changing
with every step. Its tensors are known here by weak references only.
"""

from __future__ import annotations

import weakref
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from torch import Tensor, nn

from stepscope.observe.gauge import looks_plain
from stepscope.observe.thorough.sources import kept_as

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: So many tensors of state dicts are followed, and so many entries of a checkpoint looked at.
MOST_TENSORS = 50_000
MOST_ENTRIES = 64
Kind = Literal["model", "optimizer", "scheduler", "scaler", "counter", "other"]


@dataclass
class Taken:
    """A state dict that was taken from a module, after how many updates."""

    cls: str
    of: str | None
    file: str | None
    line: int
    updates: int
    saved: bool = False
    tensors: int = 0
    version: int = 0  # of all its tensors together: it moves when they are changed in place


class States:
    """The state dicts that are about."""

    def __init__(self, updates: Callable[[], int]) -> None:
        """``updates`` tells how many updates were made so far."""
        self._updates = updates
        self._tensors: dict[int, tuple[weakref.ref[Tensor], Taken]] = {}

    def taken(self, result: Any, cls: str, of: str | None, place: tuple[str | None, int]) -> int:
        """A module's ``state_dict`` was taken.

        For how many updates the one taken before at this place has been held; -1 where it is not.
        """
        held = -1
        for ref, before in list(self._tensors.values()):
            if (before.file, before.line) == place and not before.saved and ref() is not None:
                held = max(held, self._updates() - before.updates)
        taken = Taken(cls, of, *place, updates=self._updates())
        for tensor in _tensors(result):
            key = id(tensor)
            if isinstance(tensor, nn.Parameter) or len(self._tensors) >= MOST_TENSORS:
                continue
            taken.tensors += 1
            taken.version += _version(tensor)
            self._tensors[key] = (weakref.ref(tensor, lambda _ref, key=key: self._tensors.pop(key, None)), taken)  # type: ignore[misc]
        return held

    def _taken_with(self, tensor: Tensor) -> Taken | None:
        known = self._tensors.get(id(tensor))
        return known[1] if known is not None and known[0]() is tensor else None

    def about_to_load(self, module: nn.Module, state: Any) -> dict[str, Any]:
        """What ``state`` has to do with ``module``, whose own tensors it may hold."""
        given = {name: value for name, value in _items(state) if isinstance(value, Tensor)}
        mine: dict[str, Tensor] = {}
        mine.update(nn.Module.named_parameters(module, remove_duplicate=False))
        mine.update(nn.Module.named_buffers(module, remove_duplicate=False))
        own = [value for name, value in given.items() if name in mine and same_memory(value, mine[name])]
        known = [taken for value in own if (taken := self._taken_with(value)) is not None]
        facts: dict[str, Any] = {"keys": len(given), "own": len(own)}
        if known:
            first = known[0]
            since = self._updates() - first.updates
            if not since and sum(_version(value) for value in own) != first.version:
                return facts | {"own": 0}  # taken to be changed in place, and put back
            facts |= {"since": since, "taken_file": first.file, "taken_line": first.line}
        return facts

    def saved(self, what: Any) -> None:
        """``what`` was written to a file: what was taken for that has served."""
        waiting = [what]
        for _ in range(MOST_ENTRIES):
            if not waiting:
                return
            one = waiting.pop()
            for value in _values(one):
                if isinstance(value, Tensor):
                    taken = self._taken_with(value)
                    if taken is not None:
                        taken.saved = True
                    break
                waiting.append(value)

    def kept(self) -> Iterator[tuple[Taken, int, str, bool]]:
        """State dicts that are still held, weights and all, and were outlived by updates.

        With the number of updates since, the name that the script keeps it under, and whether that hangs on a
        condition.
        """
        alive = Counter(id(taken) for ref, taken in self._tensors.values() if ref() is not None)
        every = {id(taken): taken for _, taken in self._tensors.values()}
        for key, taken in every.items():
            since = self._updates() - taken.updates
            if taken.saved or not since or 2 * alive[key] <= taken.tensors or taken.file is None:
                continue
            name, conditional = kept_as(taken.file, taken.line)
            yield taken, since, name, conditional


def same_memory(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors are the same values in the same memory."""
    if one is other:
        return True
    if not looks_plain(one) or not looks_plain(other) or not one.numel():
        return False
    return one.data_ptr() == other.data_ptr() and one.shape == other.shape and one.device == other.device


def _version(tensor: Tensor) -> int:
    return 0 if tensor.is_inference() else tensor._version


def contents(loaded: Any) -> dict[str, str]:
    """What the entries of a checkpoint are, by their structure: a model's state, an optimizer's, a counter, ..."""
    found: dict[str, str] = {}
    for name, value in list(_items(loaded))[:MOST_ENTRIES]:
        one = value[0] if isinstance(value, list) and value else value
        kind = _kind(one)
        if kind != "other":
            found[name] = kind
    return found


def _kind(value: Any) -> Kind:
    if isinstance(value, int) and not isinstance(value, bool):
        return "counter"
    names = {name for name, _ in _items(value)}
    if {"state", "param_groups"} <= names:
        return "optimizer" if value["state"] else "other"  # an empty state is nothing to lose
    if "_step_count" in names or {"last_epoch", "base_lrs"} <= names or {"num_bad_epochs", "best"} <= names:
        return "scheduler"
    if {"scale", "growth_factor"} <= names:
        return "scaler"
    tensors = [inner for _, inner in list(_items(value))[:MOST_ENTRIES] if isinstance(inner, Tensor)]
    return "model" if names and len(tensors) == min(len(names), MOST_ENTRIES) else "other"


def _items(state: Any) -> list[tuple[str, Any]]:
    known: dict[Any, Any] = state if isinstance(state, dict) else {}
    return [(name, value) for name, value in dict.items(known) if isinstance(name, str)]


def _values(thing: Any) -> list[Any]:
    if isinstance(thing, dict):
        return list(dict.values(thing))
    return list(thing) if isinstance(thing, (list, tuple)) else []


def _tensors(state: Any) -> list[Tensor]:
    return [value for _, value in _items(state) if isinstance(value, Tensor)]
