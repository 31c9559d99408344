"""``torch.compile``: when code begins to be compiled, all that it could trace steps aside."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from stepscope.observe.seams.base import Seam
from stepscope.record import events as ev

if TYPE_CHECKING:
    from types import ModuleType


class CompileSeam(Seam):
    """Makes the session note only boundaries from the first compilation on."""

    module = "torch._dynamo.callback"
    part = "compiling"

    def install(self, module: ModuleType) -> None:
        """Ask to be told when a compilation begins; look whether one has been already."""
        self._handler: Any = module.callback_handler
        self._handler.register_start_callback(self._started)
        utils = sys.modules.get("torch._dynamo.utils")
        if utils is not None and utils.counters["frames"]:
            self._started()

    def remove(self) -> None:
        """Be told no more."""
        super().remove()
        handler = getattr(self, "_handler", None)
        if handler is not None and self._started in handler.start_callbacks:
            handler.remove_start_callback(self._started)

    def _started(self, *_args: Any) -> None:
        if not self.on or self.session.compiled:
            return
        try:
            self.session.compile_began()
            self.session.note_aside(ev.CompilingStarted)
        except Exception as error:  # noqa: BLE001
            self.retire(error)
