"""Where layers were made, where parameters were at home, and whose values came from elsewhere.

Known from the constructors of modules, by weak references: nothing is kept alive, and nothing is
kept in the user's objects.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn

from stepscope.observe.frames import all_frames

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator


class Entry(Protocol):
    """What is known of a parameter."""

    id: str


#: Functions that make a model and fill it with trained weights.
_PRETRAINED = frozenset({"from_pretrained", "load_from_checkpoint"})
#: Functions that multiply a layer that was just made: their copies are as new as it is.
_CLONING = frozenset({"_get_clones", "get_clones", "clones"})


@dataclass(frozen=True)
class Made:
    """A module's beginning. ``serial`` grows; ``fresh``: with weights of its own, not a copy and not pretrained."""

    ref: weakref.ref[nn.Module]
    file: str | None
    line: int
    serial: int
    fresh: bool


@dataclass(frozen=True)
class Home:
    """Where a parameter was: in which outermost module, under which name, when ``serial`` modules had been made."""

    root: weakref.ref[nn.Module]
    path: str
    serial: int


class Origins:
    """What is known of the modules that are alive."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._made: dict[int, Made] = {}
        self._given: dict[int, weakref.ref[Tensor]] = {}
        self._count = 0
        self.homes: dict[str, Home] = {}
        #: Copies (thinned) of parameters that no optimizer holds, as of the last look, by id.
        self.copies: dict[str, Tensor] = {}
        self.told: set[int] = set()

    def made(self, module: nn.Module, *, copied: bool = False) -> None:
        """A module was constructed, or brought to life as a copy of another."""
        key = id(module)
        known = self._made.get(key)
        if known is not None and known.ref() is module:
            return  # a class that calls the constructor of several bases
        self._count += 1
        file, line, fresh = _construction(type(module), copied=copied)
        ref = weakref.ref(module, lambda _ref: self._made.pop(key, None))
        self._made[key] = Made(ref, file, line, self._count, fresh)

    def given(self, parameters: Iterable[Tensor]) -> None:
        """The values of ``parameters`` were loaded."""
        for parameter in parameters:
            key = id(parameter)
            self._given[key] = weakref.ref(parameter, lambda _ref, key=key: self._given.pop(key, None))  # type: ignore[misc]

    def is_given(self, parameter: Tensor) -> bool:
        """Whether the values of ``parameter`` were loaded."""
        known = self._given.get(id(parameter))
        return known is not None and known() is parameter

    def of(self, module: nn.Module) -> Made | None:
        """The beginning of a module; None where it was not seen."""
        known = self._made.get(id(module))
        return known if known is not None and known.ref() is module else None

    def modules(self) -> Iterator[nn.Module]:
        """The modules alive whose beginning was seen, oldest first."""
        for made in sorted(self._made.values(), key=lambda made: made.serial):
            module = made.ref()
            if module is not None and not isinstance(module, torch.jit.ScriptModule):
                yield module

    def roots(self) -> list[nn.Module]:
        """Those that no other of them holds."""
        alive = list(self.modules())
        held = {id(child) for module in alive for child in children(module)}
        return [module for module in alive if id(module) not in held]

    def settle(
        self, parameters: list[Tensor], known: Callable[[Tensor], Entry | None], models: Iterable[nn.Module] = ()
    ) -> None:
        """Remember where ``parameters`` are at home now (in ``models``, say), as far as that is not known yet."""
        wanted = {}
        for parameter in parameters:
            entry = known(parameter)
            if entry is not None and entry.id not in self.homes:
                wanted[id(parameter)] = entry.id
        if not wanted:
            return
        for root in (*self.roots(), *models):
            self._settle_in(root, wanted)

    def _settle_in(self, root: nn.Module, wanted: dict[int, str]) -> None:
        for path, parameter in named_parameters(root):
            id_ = wanted.get(id(parameter))
            if id_ is not None and id_ not in self.homes:
                self.homes[id_] = Home(weakref.ref(root), path, self._count)


def children(module: nn.Module) -> list[nn.Module]:
    """The modules that ``module`` holds, without running code of the user's."""
    held: dict[str, Any] = vars(module).get("_modules") or {}
    return [child for child in held.values() if isinstance(child, nn.Module)]


def named_parameters(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """The parameters below ``module`` as torch names them, whatever its class makes of that method."""
    return nn.Module.named_parameters(module)


def _construction(cls: type, *, copied: bool) -> tuple[str | None, int, bool]:
    """The user's line that made an object of ``cls`` (outside its own constructor), and whether its values are new."""
    own = {getattr(vars(base).get("__init__"), "__code__", None) for base in cls.__mro__}
    file, line, names = None, 0, set()
    for frame, is_user in all_frames():
        code = frame.f_code
        names.add(code.co_name)
        if is_user and file is None and code not in own:
            file, line = code.co_filename, frame.f_lineno or 0
    return file, line, not names & _PRETRAINED and (not copied or bool(names & _CLONING))
