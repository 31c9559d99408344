"""One file per rule; the file's name is the rule's name, and there is no other list."""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from stepscope.checking.rule import RuleModule


def names() -> list[str]:
    """The names of all rules, in order of the alphabet."""
    return sorted(info.name.replace("_", "-") for info in pkgutil.iter_modules(__path__))


def get(name: str) -> RuleModule:
    """The rule called ``name``; a KeyError where there is none."""
    if name not in names():
        raise KeyError(name)
    return cast("RuleModule", importlib.import_module(f"{__name__}.{name.replace('-', '_')}"))


def all_rules() -> dict[str, RuleModule]:
    """Every rule by its name."""
    return {name: get(name) for name in names()}
