"""``train()``, ``eval()``, ``zero_grad()`` of modules, and entering ``no_grad``."""

from __future__ import annotations

import functools
import sys
from typing import TYPE_CHECKING, Any

from torch import nn
from torch.autograd import grad_mode

from stepscope.observe.frames import called_from_user
from stepscope.observe.patching import Patches
from stepscope.observe.pattern import CLEAR
from stepscope.observe.seams.base import Seam

if TYPE_CHECKING:
    from types import FrameType, ModuleType


class ModeSeam(Seam):
    """Notes switches of mode, at the module they were called on (not at its children)."""

    module = "torch.nn"
    part = "modes"

    def install(self, module: ModuleType) -> None:
        """Wrap the methods; a model that overrides ``train`` with other arguments is left alone."""
        del module
        self.patches.replace(nn.Module, "train", self.outermost(self._switched))
        self._clearing = self.session.inner["module.zero_grad"] = Patches()
        self._clearing.replace(nn.Module, "zero_grad", self.after(self._cleared))
        self.patches.replace(grad_mode.no_grad, "__enter__", self._make_enter("no_grad"))
        self.patches.replace(grad_mode.inference_mode, "__enter__", self._make_enter("inference_mode"))

    def all_patches(self) -> list[Patches]:
        """The wrapper of ``zero_grad`` is a set of its own."""
        return [self.patches, self._clearing]

    def remove(self) -> None:
        """Take the wrappers out."""
        super().remove()
        self._clearing.remove()

    def _switched(self, _result: Any, module: nn.Module, *_args: Any, **_kwargs: Any) -> None:
        self.session.mode_changed(module, training=module.training)

    def _cleared(self, _result: None, module: nn.Module, *_args: Any, **_kwargs: Any) -> None:
        lane = self.session.lane()
        if lane.brief and lane.goes_on(CLEAR | id(module)):
            return
        self.session.registry.model(module)
        self.session.cleared("module", module, list(module.parameters()), self.session.registry.known_model(module))

    def _make_enter(self, name: str) -> Any:
        def make(original: Any) -> Any:
            @functools.wraps(original)
            def __enter__(context: Any) -> Any:
                if self.on and _from_user(sys._getframe(1)):
                    try:
                        self.session.gradients_disabled(name)
                    except Exception as error:  # noqa: BLE001
                        self.retire(error)
                return original(context)

            return __enter__

        return make


def _from_user(frame: FrameType) -> bool:
    """Whether user code entered the context itself, with ``with`` or as a decorator."""
    if frame.f_code.co_name == "decorate_context":
        return called_from_user(frame.f_back)
    return called_from_user(frame)
