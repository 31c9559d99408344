"""stepscope runs, shows, checks and teaches the PyTorch training loop.

Importing it imports neither torch nor anything heavy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stepscope.version import __version__

if TYPE_CHECKING:
    from stepscope.errors import StepscopeError
    from stepscope.loading import load
    from stepscope.observe.watch import watch
    from stepscope.record.run import Run

__all__ = ["Run", "StepscopeError", "__version__", "load", "watch"]

_HOMES = {
    "Run": "stepscope.record.run",
    "StepscopeError": "stepscope.errors",
    "load": "stepscope.loading",
    "watch": "stepscope.observe.watch",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'stepscope' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(home), name)
