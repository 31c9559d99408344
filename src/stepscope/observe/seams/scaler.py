"""Loss scaling by a ``GradScaler``."""

from __future__ import annotations

import functools
import weakref
from typing import TYPE_CHECKING, Any

from torch import Tensor

from stepscope.observe.gauge import number_of
from stepscope.observe.quiet import unseen
from stepscope.observe.seams.base import Seam

if TYPE_CHECKING:
    from types import ModuleType


class ScalerSeam(Seam):
    """Notes scaling, unscaling, steps that were skipped, and changes of the scale."""

    module = "torch.amp.grad_scaler"
    part = "scaler"
    inner = True

    def install(self, module: ModuleType) -> None:
        """Wrap the methods of the scaler."""
        scaler = module.GradScaler
        self.patches.replace(scaler, "scale", self.after(self._scaled))
        self.patches.replace(scaler, "unscale_", self.after(self._unscaled))
        self.patches.replace(scaler, "update", self.after(self._updated))
        self.patches.replace(scaler, "step", self._make_step)

    def _scaled(self, result: Any, scaler: Any, outputs: Any) -> None:
        if not scaler.is_enabled() or not isinstance(outputs, Tensor) or not isinstance(result, Tensor):
            return
        scale = _scale_of(scaler)
        self.session.lane().scaled = (weakref.ref(result), number_of([outputs]), scale)
        self.session.scaled("scale", None, scale)

    def _unscaled(self, _result: None, scaler: Any, optimizer: Any) -> None:
        if scaler.is_enabled():
            self.session.scaled("unscale", optimizer, _scale_of(scaler))

    def _updated(self, _result: None, scaler: Any, *_args: Any, **_kwargs: Any) -> None:
        if scaler.is_enabled():
            self.session.scaled("update", None, _scale_of(scaler))

    def _make_step(self, original: Any) -> Any:
        @functools.wraps(original)
        def step(scaler: Any, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
            if not self.on or not scaler.is_enabled():
                return original(scaler, optimizer, *args, **kwargs)
            lane = self.lane()
            if lane is None:
                return original(scaler, optimizer, *args, **kwargs)
            self._tell("step", optimizer, scaler)
            before = lane.updates
            result = original(scaler, optimizer, *args, **kwargs)
            if lane.updates == before:
                self._tell("skip", optimizer, scaler)
            return result

        return step

    @unseen
    def _tell(self, action: str, optimizer: Any, scaler: Any) -> None:
        try:
            self.session.scaled(action, optimizer, _scale_of(scaler))
        except Exception as error:  # noqa: BLE001
            self.retire(error)


def _scale_of(scaler: Any) -> float | None:
    """The scale where reading it does not wait for a GPU."""
    scale = getattr(scaler, "_scale", None)
    if isinstance(scale, Tensor):
        return float(scale) if scale.is_cpu else None
    return getattr(scaler, "_init_scale", None)
