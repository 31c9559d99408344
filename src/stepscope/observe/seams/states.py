"""State dicts taken and loaded, checkpoints saved and read."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from torch import nn
from torch.optim import Optimizer

from stepscope.observe.seams.base import Seam
from stepscope.record import events as ev

if TYPE_CHECKING:
    from types import ModuleType


class StateSeam(Seam):
    """Notes what leaves and enters models, optimizers and files."""

    module = "torch"
    part = "states"

    def install(self, module: ModuleType) -> None:
        """Wrap the methods and functions."""
        self.patches.replace(nn.Module, "state_dict", self.outermost(self._taken))
        self.patches.replace(nn.Module, "load_state_dict", self.after(self._loaded))
        self.patches.replace(Optimizer, "state_dict", self.after(self._taken))
        self.patches.replace(Optimizer, "load_state_dict", self.after(self._loaded))
        self.patches.replace(module, "save", self.after(self._saved))
        self.patches.replace(module, "load", self.after(self._read))

    def _taken(self, _result: Any, thing: Any, *_args: Any, **_kwargs: Any) -> None:
        self._note("taken", thing)

    def _loaded(self, _result: Any, thing: Any, *_args: Any, **_kwargs: Any) -> None:
        self._note("loaded", thing)

    def _note(self, action: str, thing: Any) -> None:
        registry = self.session.registry
        known = registry.known_model(thing) if isinstance(thing, nn.Module) else registry.known_optimizer(thing)
        self.session.note_aside(ev.StateMoved, action=action, cls=type(thing).__name__, of=known or None)

    def _saved(self, _result: None, _what: Any, where: Any = None, *_args: Any, **_kwargs: Any) -> None:
        self.session.note_aside(ev.CheckpointMoved, action="saved", path=_path(where))

    def _read(self, _result: Any, where: Any = None, *_args: Any, **_kwargs: Any) -> None:
        self.session.note_aside(ev.CheckpointMoved, action="loaded", path=_path(where))


def _path(where: Any) -> str | None:
    return os.fspath(where) if isinstance(where, (str, os.PathLike)) else None
