"""Batches: every ``DataLoader`` hands them out through one method of its iterators."""

from __future__ import annotations

import functools
import weakref
from typing import TYPE_CHECKING, Any

from stepscope.observe.seams.base import Seam

if TYPE_CHECKING:
    from types import ModuleType


class _Pass:
    """An iterator's loader and how many batches it has handed out."""

    __slots__ = ("batches", "iterator", "loader")

    def __init__(self, iterator: Any, loader: Any) -> None:
        self.iterator = weakref.ref(iterator)
        self.loader = weakref.ref(loader)
        self.batches = 0


class DataSeam(Seam):
    """Notes passes over loaders and each batch."""

    module = "torch.utils.data.dataloader"
    part = "data"

    def install(self, module: ModuleType) -> None:
        """Wrap how a pass begins and how it goes on."""
        self._passes: dict[int, _Pass] = {}
        self.patches.replace(module.DataLoader, "__iter__", self.after(self._started))
        self.patches.replace(module._BaseDataLoaderIter, "__next__", self._make_next)

    def _started(self, iterator: Any, loader: Any) -> None:
        if len(self._passes) > 64:
            self._passes = {key: p for key, p in self._passes.items() if p.iterator() is not None}
        self._passes[id(iterator)] = _Pass(iterator, loader)
        self.session.pass_started(loader)

    def _make_next(self, original: Any) -> Any:
        @functools.wraps(original)
        def __next__(iterator: Any) -> Any:
            if not self.on:
                return original(iterator)
            try:
                batch = original(iterator)
            except StopIteration:
                self._told(iterator, None, ended=True)
                raise
            if self.session.asleep is None:
                self._told(iterator, batch)
            return batch

        return __next__

    def _told(self, iterator: Any, batch: Any, *, ended: bool = False) -> None:
        found = self._passes.get(id(iterator))
        loader = found.loader() if found is not None and found.iterator() is iterator else None
        if found is None or loader is None:
            return
        try:
            if ended:
                self.session.pass_ended(loader, found.batches)
            else:
                self.session.fetched(loader, found.batches, batch)
                found.batches += 1
        except Exception as error:  # noqa: BLE001
            self.retire(error)
