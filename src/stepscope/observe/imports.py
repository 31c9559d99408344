"""Acting when a module has been imported, without importing it.

A script decides itself when (and after which environment variables) torch is imported; the
seams go in the moment that import is done.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import ModuleType


class ImportWatch(importlib.abc.MetaPathFinder):
    """Runs a callback right after a module was imported; at once where it already is."""

    def __init__(self) -> None:
        """Wait for nothing yet."""
        self._waiting: dict[str, Callable[[ModuleType], None]] = {}
        self._executed: set[str] = set()

    def when_imported(self, name: str, act: Callable[[ModuleType], None]) -> None:
        """Call ``act`` with module ``name`` as soon as it is there."""
        module = sys.modules.get(name)
        # While a module still runs, its spec says so; then its import is waited for.
        running = getattr(getattr(module, "__spec__", None), "_initializing", False) and name not in self._executed
        if module is not None and not running:
            act(module)
            return
        self._waiting[name] = act
        if self not in sys.meta_path:
            sys.meta_path.insert(0, self)

    def close(self) -> None:
        """Wait no longer."""
        self._waiting.clear()
        if self in sys.meta_path:
            sys.meta_path.remove(self)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Find the module as Python would and have its loader tell when it is done."""
        if fullname not in self._waiting:
            return None
        for finder in sys.meta_path:
            if finder is self or not hasattr(finder, "find_spec"):
                continue
            spec = finder.find_spec(fullname, path, target)
            if spec is not None:
                if spec.loader is not None:
                    self._tell_when_done(spec, fullname)
                return spec
        return None

    def _tell_when_done(self, spec: importlib.machinery.ModuleSpec, name: str) -> None:
        loader = spec.loader
        assert loader is not None
        execute = loader.exec_module

        def exec_module(module: ModuleType) -> None:
            loader.__dict__.pop("exec_module", None)  # the loader is as it was, also after a failure
            execute(module)
            self._executed.add(name)
            act = self._waiting.pop(name, None)
            if not self._waiting:
                self.close()
            if act is not None:
                act(module)

        loader.exec_module = exec_module  # type: ignore[method-assign]
