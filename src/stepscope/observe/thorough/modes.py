"""In which mode the layers of a called model are that behave differently in training and in evaluation.

Only where a rule may ask (a thorough watch): a walk over the modules of every called model is dear.
"""

from __future__ import annotations

import ast
import linecache
import sys
import weakref
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm, _NormBase
from torch.nn.modules.dropout import _DropoutNd

from stepscope.observe.frames import locals_of
from stepscope.observe.gauge import Reading
from stepscope.record.events import LayerModes

if TYPE_CHECKING:
    from types import FrameType

    from torch import Tensor

#: Frames that are searched for the module a dropout belongs to.
_MOST_FRAMES = 64


class Called:
    """The module that user code is calling, and what torch's dropout functions did inside so far."""

    __slots__ = ("_given", "dropped", "passed", "root", "wrappers")

    def __init__(self) -> None:
        """No call is running."""
        self._given: dict[str, tuple[weakref.ref[Tensor], int, int]] = {}
        self.root: nn.Module | None = None
        self.wrappers: list[str] = []
        self.dropped = self.passed = 0

    def begin(self, root: nn.Module) -> None:
        """User code calls ``root``."""
        self.root = root
        self.dropped = self.passed = 0

    def knows(self, model: str, tensor: Tensor) -> bool:
        """Whether ``tensor`` is what ``model`` was given in its last call."""
        known = self._given.get(model)
        return known is not None and known[0]() is tensor and known[1] == tensor._version

    def end(self, model: str, inputs: list[tuple[str, Tensor]], updates: int) -> dict[str, Any]:
        """The call is over: the modes of its layers, and whether it repeated the one before."""
        root, self.root = self.root, None
        if root is None:
            return {}
        repeated = self._repeats(model, inputs[0][1], updates) if inputs else False
        wrappers, self.wrappers = self.wrappers, []
        modes = layer_modes(root, self.dropped, self.passed)
        return {"modes": modes, "repeated": repeated, "wrappers": wrappers}

    def _repeats(self, model: str, tensor: Tensor, updates: int) -> bool:
        """Whether ``model`` is given the tensor of its last call, unchanged, after just as many updates."""
        if tensor.is_inference():
            return False
        known = self._given.get(model)
        self._given[model] = (weakref.ref(tensor), tensor._version, updates)
        return known is not None and known[0]() is tensor and known[1:] == (tensor._version, updates)


def layer_modes(root: nn.Module, dropped: int = 0, passed: int = 0) -> LayerModes:
    """Count the layers of ``root`` that differ between training and evaluation, by their mode."""
    dropouts, norms = [0, 0], [0, 0]
    for module in root.modules():
        if drops(module):
            dropouts[bool(module.training)] += 1
        elif keeps_statistics(module):
            norms[bool(module.training)] += 1
    return LayerModes(
        dropouts_on=dropouts[True],
        dropouts_off=dropouts[False],
        norms_on=norms[True],
        norms_off=norms[False],
        dropped=dropped,
        passed=passed,
    )


def drops(module: nn.Module) -> bool:
    """Whether ``module`` drops values while it is in training mode."""
    if isinstance(module, _DropoutNd):
        return module.p > 0
    if isinstance(module, nn.RNNBase):
        return module.dropout > 0 and module.num_layers > 1
    return isinstance(module, nn.MultiheadAttention) and module.dropout > 0


def keeps_statistics(module: nn.Module) -> bool:
    """Whether ``module`` normalises by running statistics in evaluation, by the batch's in training."""
    return isinstance(module, _NormBase) and module.running_mean is not None


class NormState:
    """What a layer's call does with running statistics, as the call begins."""

    __slots__ = ("batch_norm", "frozen", "recording", "tracks", "weight")

    def __init__(self, module: nn.Module, *, recording: bool) -> None:
        """Look at ``module``, which is about to be called, ``recording`` gradients or not."""
        self.recording = recording
        own = [parameter for parameter in module._parameters.values() if parameter is not None]
        self.frozen = bool(own) and not any(parameter.requires_grad for parameter in own)
        self.batch_norm = self.tracks = False
        self.weight: Reading | None = None
        if isinstance(module, _NormBase):
            self.batch_norm = isinstance(module, _BatchNorm) and not isinstance(module, nn.SyncBatchNorm)
            self.batch_norm = self.batch_norm and (module.training or module.running_mean is None)
            self.tracks = module.training and module.running_mean is not None and module.momentum != 0.0
            if self.frozen and self.tracks:
                self.weight = Reading(own[0], "weight")


def enclosing_in_eval(root: nn.Module | None, frame: FrameType | None) -> nn.Module | None:
    """The module that a dropout now running belongs to, where that module is in evaluation mode.

    A dropout layer that hangs below no module is made anew in a forward, or kept where ``eval()``
    does not reach it: then the module around it counts. One that does hang below was switched on
    by somebody, as for Monte Carlo dropout.
    """
    for _ in range(_MOST_FRAMES):
        if frame is None:
            return None
        module = locals_of(frame).get("self") if "self" in frame.f_code.co_varnames[:1] else None
        frame = frame.f_back
        if not isinstance(module, nn.Module):
            continue
        if not module.training:
            return module
        if module is root or not isinstance(module, _DropoutNd) or _hangs_below(module, root):
            return None
    return None


def _hangs_below(module: nn.Module, root: nn.Module | None) -> bool:
    return root is None or any(part is module for part in root.modules())


def is_explicit(frame: FrameType) -> bool:
    """Whether the line that ``frame`` is at asks for dropout by name: ``training=True``."""
    with suppress(Exception):
        position = next(islice(frame.f_code.co_positions(), frame.f_lasti // 2, None))
        first, last = position[0] or frame.f_lineno, position[1] or frame.f_lineno
        lines = [linecache.getline(frame.f_code.co_filename, number) for number in range(first, last + 1)]
        lines[-1] = lines[-1].encode()[: position[3]].decode()
        lines[0] = lines[0].encode()[position[2] :].decode()
        call: Any = ast.parse("".join(lines).strip(), mode="eval").body
        named = {word.arg: word.value for word in call.keywords}
        asked = named.get("training", named.get("train", call.args[2] if len(call.args) > 2 else None))
        return isinstance(asked, ast.Constant) and asked.value is True
    return False


def frame_outside(packages: tuple[str, ...]) -> FrameType | None:
    """The nearest frame outside ``packages`` (names that end in a dot): the one that asked for the operation."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and str(frame.f_globals.get("__name__", "")).startswith(packages):
        frame = frame.f_back
    return frame
