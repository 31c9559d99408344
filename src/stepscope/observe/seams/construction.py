"""Modules being made: only a thorough watch asks where."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import nn

from stepscope.observe.seams.base import Seam

if TYPE_CHECKING:
    from types import ModuleType


class ConstructionSeam(Seam):
    """Notes where modules are constructed, copied and unpickled."""

    module = "torch.nn"
    part = "construction"

    def install(self, module: ModuleType) -> None:
        """Wrap the constructor of all modules, and what gives a copy its state."""
        del module
        if self.session.plan.thorough:
            self.patches.replace(nn.Module, "__init__", self.after(self._made))
            self.patches.replace(nn.Module, "__setstate__", self.after(self._copied))

    def _made(self, _result: None, module: nn.Module, *_args: Any, **_kwargs: Any) -> None:
        self.session.registry.origins.made(module)

    def _copied(self, _result: None, module: nn.Module, *_args: Any, **_kwargs: Any) -> None:
        self.session.registry.origins.made(module, copied=True)
