"""Child processes: they are not watched, and the record says so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stepscope.observe.seams.base import Seam
from stepscope.record import events as ev

if TYPE_CHECKING:
    from types import ModuleType


class ChildSeam(Seam):
    """Notes each child that ``multiprocessing`` starts, but for the workers of data loaders."""

    module = "multiprocessing.process"
    part = "children"

    def install(self, module: ModuleType) -> None:
        """Wrap how a process is started."""
        self.patches.replace(module.BaseProcess, "start", self.after(self._started))

    def _started(self, _result: None, process: Any) -> None:
        target = getattr(process, "_target", None)
        if not str(getattr(target, "__module__", "")).startswith("torch.utils.data"):
            self.session.note_aside(ev.ChildStarted, name=str(process.name)[:200])
