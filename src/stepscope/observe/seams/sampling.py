"""How loaders put batches together: only a thorough watch asks."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from stepscope.observe.seams.base import Seam
from stepscope.observe.thorough.samples import Sampling

if TYPE_CHECKING:
    from types import ModuleType


class SamplingSeam(Seam):
    """Notes what samplers chose, what fetching changed, and the samples of each batch."""

    module = "torch.utils.data.dataloader"
    part = "samples"

    def install(self, module: ModuleType) -> None:
        """Wrap how loaders and their iterators are made, choose and hand out."""
        if not self.session.plan.thorough:
            return
        self._sampling = self.session.samples = Sampling(self.session)
        self.patches.replace(module.DataLoader, "__init__", self.after(self._made))
        self.patches.replace(module.DataLoader, "__iter__", self.after(self._started))
        self.patches.replace(module._BaseDataLoaderIter, "_reset", self._make_reset)
        self.patches.replace(module._BaseDataLoaderIter, "_next_index", self._make_next_index)
        self.patches.replace(module._BaseDataLoaderIter, "__next__", self.after(self._fetched))

    def remove(self) -> None:
        """Take everything out again; nobody is asked any longer."""
        super().remove()
        self.session.samples = None

    def retire(self, error: Exception) -> None:
        """A failure of ours: nothing more is noted of samples."""
        super().retire(error)
        self.session.samples = None

    def _made(self, _result: None, loader: Any, *_args: Any, **_kwargs: Any) -> None:
        self._sampling.made(loader)

    def _started(self, _iterator: Any, loader: Any) -> None:
        self._sampling.study(loader, self.session.registry.loader(loader))

    def _make_reset(self, original: Any) -> Any:
        @functools.wraps(original)
        def _reset(iterator: Any, *args: Any, **kwargs: Any) -> Any:
            if self.on:
                self._sampling.pass_began(iterator)
            return original(iterator, *args, **kwargs)

        return _reset

    def _make_next_index(self, original: Any) -> Any:
        @functools.wraps(original)
        def _next_index(iterator: Any) -> Any:
            index = original(iterator)
            if self.on:
                try:
                    self._sampling.index_drawn(iterator, index)
                except Exception as error:  # noqa: BLE001
                    self.retire(error)
            return index

        return _next_index

    def _fetched(self, batch: Any, iterator: Any) -> None:
        self._sampling.fetched(iterator, batch)
