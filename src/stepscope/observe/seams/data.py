"""Batches: every ``DataLoader`` hands them out through one method of its iterators."""

from __future__ import annotations

import functools
import weakref
from typing import TYPE_CHECKING, Any

from stepscope.observe.quiet import unseen
from stepscope.observe.seams.base import Seam

if TYPE_CHECKING:
    from types import ModuleType


class _Pass:
    """An iterator and its loader, which it outlives in ``for batch in DataLoader(...)``."""

    __slots__ = ("_loader", "iterator")

    def __init__(self, iterator: weakref.ref[Any], loader: Any) -> None:
        self.iterator = iterator
        # A loader with persistent workers holds its iterator: kept here it would never be freed.
        held = getattr(loader, "_iterator", None) is not None
        self._loader = weakref.ref(loader) if held else functools.partial(_same, loader)

    def loader(self) -> Any:
        """The loader, where it is alive."""
        return self._loader()


def _same(loader: Any) -> Any:
    return loader


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
        passes, key = self._passes, id(iterator)
        passes[key] = _Pass(weakref.ref(iterator, lambda _ref: passes.pop(key, None)), loader)
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

    @unseen
    def _told(self, iterator: Any, batch: Any, *, ended: bool = False) -> None:
        found = self._passes.get(id(iterator))
        loader = found.loader() if found is not None and found.iterator() is iterator else None
        if found is None or loader is None:
            return
        try:
            if ended:
                self.session.pass_ended(loader, iterator._num_yielded)
            else:
                self.session.fetched(loader, iterator._num_yielded - 1, batch)
        except Exception as error:  # noqa: BLE001
            self.retire(error)
