"""One file per place where torch is listened to. Each defines a ``Seam`` subclass; none is listed."""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING

from stepscope.observe.seams.base import Seam

if TYPE_CHECKING:
    from collections.abc import Iterator


def all_seams() -> Iterator[type[Seam]]:
    """The seams of this package, by file name."""
    for module in sorted(pkgutil.iter_modules(__path__), key=lambda found: found.name):
        importlib.import_module(f"{__name__}.{module.name}")
    yield from Seam.__subclasses__()
