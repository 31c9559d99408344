"""What is to be run: a script or a module, found and compiled before anything else happens."""

from __future__ import annotations

import builtins
import importlib.machinery
import importlib.util
import io
import os
import sys
import types
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from stepscope.errors import UsageError

if TYPE_CHECKING:
    from types import CodeType, ModuleType


@dataclass
class Target:
    """A program: what Python would run, and under which names."""

    path: str
    code: CodeType
    first_path: str
    spec: importlib.machinery.ModuleSpec | None = None
    arguments: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The name the program goes by: its file, or the module as given to ``-m``."""
        return self.spec.name.removesuffix(".__main__") if self.spec is not None else self.path

    def make_main(self) -> ModuleType:
        """The ``__main__`` module as Python would make it; it lasts until the interpreter ends."""
        main = types.ModuleType("__main__")
        main.__dict__.update(
            __file__=self.path,
            __builtins__=builtins,
            __annotations__={},
            __spec__=self.spec,
            __package__=self.spec.parent if self.spec is not None else None,
            __cached__=self.spec.cached if self.spec is not None else None,
            __loader__=self.spec.loader
            if self.spec is not None
            else importlib.machinery.SourceFileLoader("__main__", self.path),
        )
        if self.spec is None:
            main.__doc__ = None
        return main


def script(path: str, arguments: list[str]) -> Target:
    """The script at ``path``.

    Raises:
        UsageError: there is no such file, or it is no Python source.
        SyntaxError: as Python itself would raise it.
    """
    where = Path(path)
    if where.is_dir():
        scripts = sorted(p.name for p in where.glob("*.py"))[:5]
        hint = f" It holds: {', '.join(scripts)}." if scripts else ""
        raise UsageError(f"{path} is a directory; name the script to run.{hint}")
    if not where.exists():
        raise UsageError(f"there is no file {path} (in {Path.cwd()})")
    absolute = os.path.abspath(path)  # noqa: PTH100  # as Python does: links are not followed here
    code = _compile(absolute)
    first = str(Path(path).resolve().parent)
    return Target(absolute, code, first, arguments=[path, *arguments])


def module(name: str, arguments: list[str]) -> Target:
    """The module (or package with a ``__main__``) that ``python -m name`` would run.

    Raises:
        UsageError: it cannot be found or has no source.
        SyntaxError: as Python itself would raise it.
    """
    sys.path.insert(0, str(Path.cwd()))
    try:
        spec = _find(name)
    finally:
        sys.path.pop(0)
    if spec is None or spec.origin is None or not spec.has_location:
        raise UsageError(f"no module named {name} was found in {Path.cwd()} or among the installed packages")
    return Target(spec.origin, _compile(spec.origin), str(Path.cwd()), spec, [spec.origin, *arguments])


def _find(name: str) -> importlib.machinery.ModuleSpec | None:
    try:
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.submodule_search_locations is not None:
            spec = importlib.util.find_spec(f"{name}.__main__")
            if spec is None:
                raise UsageError(f"{name} is a package without __main__.py; name one of its modules")
    except (ImportError, ValueError) as error:
        raise UsageError(f"cannot find module {name}: {error}") from None
    return spec


def _compile(path: str) -> CodeType:
    try:
        with io.open_code(path) as file:
            source = file.read()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    try:
        return compile(source, path, "exec", dont_inherit=True)
    except ValueError as error:  # null bytes: no source at all
        raise UsageError(f"{path} is no Python source: {error}") from None
