"""State dicts taken and loaded, checkpoints saved and read."""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING, Any

from torch import nn
from torch.amp import grad_scaler
from torch.optim import Optimizer, lr_scheduler

from stepscope.observe.frames import user_line
from stepscope.observe.quiet import unseen
from stepscope.observe.seams.base import Seam
from stepscope.observe.thorough.sources import subscripts
from stepscope.observe.thorough.states import States, contents
from stepscope.record import events as ev

if TYPE_CHECKING:
    from types import ModuleType


class StateSeam(Seam):
    """Notes what leaves and enters models, optimizers and files."""

    module = "torch"
    part = "states"

    def install(self, module: ModuleType) -> None:
        """Wrap the methods and functions."""
        self._states = States(lambda: self.session.updates) if self.session.plan.thorough else None
        self._process = os.getpid()
        self.patches.replace(nn.Module, "state_dict", self.outermost(self._taken))
        self.patches.replace(nn.Module, "load_state_dict", self._make_load)
        self.patches.replace(Optimizer, "state_dict", self.after(self._taken))
        self.patches.replace(Optimizer, "load_state_dict", self.after(self._loaded))
        if self._states is not None:
            for cls in _with_states(lr_scheduler.LRScheduler):
                self.patches.replace(cls, "load_state_dict", self.after(self._loaded))
            self.patches.replace(grad_scaler.GradScaler, "load_state_dict", self.after(self._loaded))
        self.patches.replace(module, "save", self.after(self._saved))
        self.patches.replace(module, "load", self.after(self._read))

    def remove(self) -> None:
        """Take the wrappers out; tell what was kept until the end."""
        if self.on and self._states is not None and os.getpid() == self._process:
            try:
                self._tell_kept(self._states)
            except Exception as error:  # noqa: BLE001
                self.retire(error)
        super().remove()

    def _taken(self, result: Any, thing: Any, *_args: Any, **_kwargs: Any) -> None:
        if self._states is not None and isinstance(thing, nn.Module):
            of = self.session.registry.known_model(thing)
            held = self._states.taken(result, type(thing).__name__, of, user_line(3))
            self._note("taken", thing, since=held)
            return
        self._note("taken", thing)

    def _make_load(self, original: Any) -> Any:
        @functools.wraps(original)
        def load_state_dict(module: nn.Module, state_dict: Any, *args: Any, **kwargs: Any) -> Any:
            facts = self._about_to_load(module, state_dict) if self.on else {}
            result = original(module, state_dict, *args, **kwargs)
            if self.on:
                try:
                    self._loaded_into(module, state_dict, facts)
                except Exception as error:  # noqa: BLE001
                    self.retire(error)
            return result

        return load_state_dict

    @unseen
    def _about_to_load(self, module: nn.Module, state: Any) -> dict[str, Any]:
        try:
            return self._states.about_to_load(module, state) if self._states is not None else {}
        except Exception as error:  # noqa: BLE001
            self.retire(error)
            return {}

    @unseen
    def _loaded_into(self, module: nn.Module, state: Any, facts: dict[str, Any]) -> None:
        if self._states is not None and not facts["own"] and isinstance(state, dict):
            named = nn.Module.named_parameters(module)
            self.session.registry.origins.given([parameter for name, parameter in named if name in state])
        self._note("loaded", module, **facts)

    def _loaded(self, _result: Any, thing: Any, *_args: Any, **_kwargs: Any) -> None:
        self._note("loaded", thing)

    def _note(self, action: str, thing: Any, **facts: Any) -> None:
        registry = self.session.registry
        known: str | None = None
        what = "scheduler"
        if isinstance(thing, nn.Module):
            what, known = "model", registry.known_model(thing)
        elif isinstance(thing, Optimizer):
            what, known = "optimizer", registry.known_optimizer(thing)
        elif isinstance(thing, grad_scaler.GradScaler):
            what = "scaler"
        self.session.note_aside(
            ev.StateMoved, action=action, cls=type(thing).__name__, what=what, of=known or None, **facts
        )

    def _saved(self, _result: None, what: Any, where: Any = None, *_args: Any, **_kwargs: Any) -> None:
        if self._states is not None:
            self._states.saved(what)
        self.session.note_aside(ev.CheckpointMoved, action="saved", path=_path(where))

    def _read(self, result: Any, where: Any = None, *_args: Any, **_kwargs: Any) -> None:
        if self._states is None:
            self.session.note_aside(ev.CheckpointMoved, action="loaded", path=_path(where))
            return
        held = contents(result)
        read = sorted(subscripts() & set(held))
        self.session.note_aside(ev.CheckpointMoved, action="loaded", path=_path(where), contents=held, read=read)

    def _tell_kept(self, states: States) -> None:
        last = {(kept[0].file, kept[0].line): kept for kept in states.kept()}
        for taken, since, name, conditional in last.values():
            self.session.note_aside(
                ev.StateKept,
                cls=taken.cls,
                of=taken.of,
                taken_file=taken.file,
                taken_line=taken.line,
                update=taken.updates,
                since=since,
                name=name,
                conditional=conditional,
            )


def _with_states(cls: type) -> list[type]:
    """``cls`` and all its subclasses that load states in their own way."""
    found = [cls] if "load_state_dict" in vars(cls) else []
    subclasses: list[type] = type.__subclasses__(cls)
    for sub in subclasses:
        found += _with_states(sub)
    return found


def _path(where: Any) -> str | None:
    return os.fspath(where) if isinstance(where, (str, os.PathLike)) else None
