"""Gradient clipping, one level below the public names, so that early imports are seen as well."""

from __future__ import annotations

import functools
import sys
from typing import TYPE_CHECKING, Any

from torch import Tensor

from stepscope.observe.frames import locals_of
from stepscope.observe.seams.base import Seam

if TYPE_CHECKING:
    from types import ModuleType


class ClipSeam(Seam):
    """Notes ``clip_grad_norm_`` and ``clip_grad_value_``."""

    module = "torch.nn.utils.clip_grad"
    part = "clip"
    inner = True

    def install(self, module: ModuleType) -> None:
        """Wrap the helpers that both functions use."""
        self.patches.replace(module, "_clip_grads_with_norm_", self.after(self._by_norm))
        self.patches.replace(module, "_group_tensors_by_device_and_dtype", self._make_by_value)

    def _by_norm(
        self, _result: None, parameters: Any, max_norm: float, total_norm: Any, *_args: Any, **_kwargs: Any
    ) -> None:
        self.session.clipped("norm", lambda: _listed(parameters), max_norm, total_norm)

    def _make_by_value(self, original: Any) -> Any:
        @functools.wraps(original)
        def group_tensors(*args: Any, **kwargs: Any) -> Any:
            if self.on:
                caller = sys._getframe(1)
                if caller.f_code.co_name == "clip_grad_value_":
                    try:
                        names = locals_of(caller)
                        find = functools.partial(self._clipped_by_value, names["parameters"], names["grads"])
                        self.session.clipped("value", find, names["clip_value"], None)
                    except Exception as error:  # noqa: BLE001
                        self.retire(error)
            return original(*args, **kwargs)

        return group_tensors

    def _clipped_by_value(self, parameters: Any, gradients: list[Tensor]) -> list[Tensor]:
        listed = _listed(parameters)
        if listed:
            return listed
        # A generator is used up by now: only those that have a gradient can be told.
        clipped = {id(gradient) for gradient in gradients}
        return [p for _, p in self.session.registry.entries() if p.grad is not None and id(p.grad) in clipped]


def _listed(parameters: Any) -> list[Tensor]:
    if isinstance(parameters, Tensor):
        return [parameters]
    return [p for p in parameters if isinstance(p, Tensor)] if isinstance(parameters, (list, tuple)) else []
