"""Which rules are asked."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from stepscope.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def choose(names: Sequence[str], selected: Iterable[str], ignored: Iterable[str]) -> list[str]:
    """Those of ``names`` that are selected (all, where nothing is) and not ignored, in their order.

    Raises:
        UsageError: a rule is named that there is not, or no rule is left.
    """
    wanted, unwanted = list(selected), set(ignored)
    for name in [*wanted, *sorted(unwanted)]:
        if name not in names:
            raise UsageError(unknown(name, names))
    left = [name for name in names if (not wanted or name in wanted) and name not in unwanted]
    if not left:
        raise UsageError("no rule is left to ask: all that are selected are ignored as well")
    return left


def unknown(name: str, names: Iterable[str]) -> str:
    """That there is no rule of that name, with the nearest ones that there are."""
    near = difflib.get_close_matches(name.replace("_", "-").lower(), list(names), n=3, cutoff=0.5)
    hint = f"Did you mean {' or '.join(near)}?" if near else "stepscope rules lists them all."
    return f"there is no rule {name!r}. {hint}"
