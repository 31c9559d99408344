"""``DistributedDataParallel``: which parameters it averages over ranks, and when its own forward runs."""

from __future__ import annotations

import functools
import weakref
from typing import TYPE_CHECKING, Any

import torch

from stepscope.observe.frames import user_line
from stepscope.observe.seams.base import Seam
from stepscope.record import events as ev

if TYPE_CHECKING:
    from types import ModuleType


class ParallelSeam(Seam):
    """Notes, in a thorough watch, the wrapping of models and the forwards that go through a wrapper."""

    module = "torch.nn.parallel.distributed"
    part = "parallel"

    def install(self, module: ModuleType) -> None:
        """Wrap the constructor and the forward, where a rule may ask."""
        if not self.session.plan.thorough:
            return
        self._known: weakref.WeakKeyDictionary[Any, str] = weakref.WeakKeyDictionary()
        self.patches.replace(module.DistributedDataParallel, "__init__", self.after(self._wrapped))
        self.patches.replace(module.DistributedDataParallel, "forward", self._make_forward)
        self.session.on_compile.append(self.remove)

    def _wrapped(self, _result: None, wrapper: Any, *_args: Any, **_kwargs: Any) -> None:
        if wrapper in self._known:
            return  # a subclass that calls this constructor twice
        id_ = self._known[wrapper] = f"w{len(self._known) + 1}"
        parameters = [p for p in wrapper.module.parameters() if p.requires_grad]
        names = [self.session.registry.add_parameter(parameter).id for parameter in parameters]
        file, line = user_line(3)
        notes = self.session.notes
        event = ev.ModelWrapped(
            at=notes.now(),
            rank=notes.rank,
            file=file,
            line=line,
            wrapper=id_,
            cls=type(wrapper).__name__,
            parameters=names,
        )
        notes.put(event)

    def _make_forward(self, original: Any) -> Any:
        @functools.wraps(original)
        def forward(wrapper: Any, *args: Any, **kwargs: Any) -> Any:
            if self.on and not torch.compiler.is_compiling() and torch.is_grad_enabled():
                lane = self.session.local.lane
                known = self._known.get(wrapper)
                if lane is not None and lane.called is not None and known is not None:
                    lane.called.wrappers.append(known)
            return original(wrapper, *args, **kwargs)

        return forward
