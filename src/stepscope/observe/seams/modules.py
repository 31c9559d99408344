"""Calls of modules. Listened to only while some update is noted in full."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from stepscope.observe.patching import Patches
from stepscope.observe.quiet import unseen
from stepscope.observe.seams.base import Seam

if TYPE_CHECKING:
    from types import ModuleType

    from stepscope.observe.lane import Lane
    from stepscope.observe.thorough.probe import Candidate


class ModuleSeam(Seam):
    """Notes calls from user code, and every layer on updates that are looked at closely."""

    module = "torch.nn"
    part = "modules"

    def install(self, module: ModuleType) -> None:
        """Listen from the start; the session arms and disarms this seam as it needs it."""
        del module
        self._armed = Patches()
        self._armed.replace(nn.Module, "__call__", self._make)
        self._listening = True
        self.session.arm = self.arm
        self.session.disarm = self.disarm
        self.session.on_compile.append(self.disarm)

    def arm(self) -> None:
        """Listen, unless code was compiled: compiled code must not see a wrapper come and go."""
        if self.on and not self.session.compiled and not self._listening:
            self._armed.lower()
            self._listening = True

    def disarm(self) -> None:
        """Listen no more; the modules run as torch made them."""
        self._listening = False
        self._armed.lift()  # below a patch of the user's the wrapper stays, and only hands on

    def all_patches(self) -> list[Patches]:
        """The wrapper of calls is a set of its own."""
        return [self.patches, self._armed]

    def remove(self) -> None:
        """Take the wrapper out for good."""
        super().remove()
        self._listening = False
        self._armed.remove()

    def _make(self, original: Any) -> Any:
        @functools.wraps(original)
        def __call__(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
            # Asked first: code that is compiled through this wrapper must not depend on anything of ours.
            if torch.compiler.is_compiling() or not self._listening or torch._C._get_tracing_state() is not None:
                return original(module, *args, **kwargs)
            lane = self.lane() if self.on else None
            if lane is None or lane.brief:  # armed for another thread's sake
                return original(module, *args, **kwargs)
            look = lane.look
            if lane.depth:
                if look is None or look.done or lane.backwards or look.failed:
                    return original(module, *args, **kwargs)
                return look.call_layer(original, module, args, kwargs)
            if lane.backwards:
                return original(module, *args, **kwargs)
            return self._called_by_user(lane, original, module, args, kwargs)

        return __call__

    def _called_by_user(self, lane: Lane, original: Any, module: nn.Module, args: Any, kwargs: Any) -> Any:
        grad = torch.is_grad_enabled()
        model = self._model(lane, module, grad=grad)
        look = lane.look
        lane.depth = 1
        if self.session.samples is not None:
            self._note_samples(module, args, kwargs, grad=grad)
        result, failed = None, True
        probed = self._about_to_probe(lane, module, model, args, kwargs) if grad else None
        try:
            if look is not None and grad and model is not None and not look.done and not look.failed:
                result = look.call_model(original, module, args, kwargs, model)
            else:
                if look is not None and model is not None and not look.done:
                    look.called_aside(module, model)
                result = original(module, *args, **kwargs)
            failed = False
        finally:
            lane.depth = 0
            if look is not None and look.operations.held:
                lane.held = look.operations
            if look is not None and look.failed is not None:
                self.retire(look.failed)
            if self.on:
                try:
                    if probed is not None:
                        probed.over()
                    self.session.model_called(module, grad=grad, failed=failed, args=args, kwargs=kwargs, result=result)
                except Exception as error:  # noqa: BLE001
                    self.retire(error)
        return result

    def _about_to_probe(
        self, lane: Lane, module: nn.Module, model: str | None, args: Any, kwargs: Any
    ) -> Candidate | None:
        """In an update that is looked at closely: where this very call may be repeated afterwards."""
        probe = self.session.probe
        if probe is None or lane.look is None or model is None:
            return None
        try:
            return probe.about_to_call(lane, module, model, args, kwargs)
        except Exception as error:  # noqa: BLE001
            self.session.probe = None
            self.session.defect("probe", error)
            return None

    def _note_samples(self, module: nn.Module, args: Any, kwargs: Any, *, grad: bool) -> None:
        """Before the call: a model may change its input in place."""
        try:
            self.session.samples.called(module, args, kwargs, grad=grad)
        except Exception as error:  # noqa: BLE001
            self.session.samples = None
            self.session.defect("samples", error)

    @unseen
    def _model(self, lane: Lane, module: nn.Module, *, grad: bool) -> str | None:
        """The id of a module that user code calls; None after a failure of ours."""
        try:
            if not (grad and lane.look is not None and lane.look.operations.held):
                lane.let_go()
            if grad:
                self.session.settle_manual(lane)
            if lane.called is not None:
                lane.called.begin(module)
            self.session.registry.claim(module.parameters())
            return self.session.registry.model(module)
        except Exception as error:  # noqa: BLE001
            self.retire(error)
            return None
