"""torch's dropout functions, below their Python names: whether they drop while the module around them evaluates."""

from __future__ import annotations

import functools
import sys
from typing import TYPE_CHECKING, Any

import torch

from stepscope.observe.frames import user_line
from stepscope.observe.seams.base import Seam
from stepscope.observe.thorough.modes import enclosing_in_eval, frame_outside, is_explicit
from stepscope.record import events as ev
from stepscope.record.numbers import to_number

if TYPE_CHECKING:
    from types import ModuleType

    from stepscope.observe.lane import Lane

_IN_VF = ("dropout", "alpha_dropout", "feature_dropout", "feature_alpha_dropout")
_ATTENTION = "scaled_dot_product_attention"
#: Where ``dropout_p`` stands among the positional arguments of attention.
_RATE_AT = 4
#: A line is told of this many times.
MOST_OF_A_LINE = 8
MOST_LINES = 256


class DropoutSeam(Seam):
    """Counts what dropout functions do in a thorough watch, and notes those that drop in evaluation."""

    module = "torch.nn"
    part = "dropout"
    inner = True

    def install(self, module: ModuleType) -> None:
        """Wrap the functions, where a rule may ask for what they do."""
        if not self.session.plan.thorough:
            return
        self._told: dict[tuple[str | None, int], int] = {}
        for name in _IN_VF:
            for variant in (name, f"{name}_"):
                self.patches.replace(torch._VF, variant, functools.partial(self._make_dropout, name))
        self.patches.replace(module.functional, _ATTENTION, self._make_attention)
        self.patches.replace(torch.jit, "script", self.lifted_while_scripting)
        self.session.on_compile.append(self.remove)

    def _make_dropout(self, name: str, original: Any) -> Any:
        @functools.wraps(original)
        def dropout(input: Any, p: Any, train: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: A002  # torch's names
            if self.on and not torch.compiler.is_compiling():
                self._count(name, p, train)
            return original(input, p, train, *args, **kwargs)

        return dropout

    def _make_attention(self, original: Any) -> Any:
        @functools.wraps(original)
        def attention(*args: Any, **kwargs: Any) -> Any:
            if self.on and not torch.compiler.is_compiling():
                rate = args[_RATE_AT] if len(args) > _RATE_AT else kwargs.get("dropout_p", 0.0)
                self._count(_ATTENTION, rate, train=True)
            return original(*args, **kwargs)

        return attention

    def _count(self, function: str, rate: Any, train: Any) -> None:
        lane = self.session.local.lane
        if lane is None or lane.called is None or lane.backwards or not isinstance(rate, float | int) or not rate:
            return
        called = lane.called
        if not train:
            called.passed += 1
            return
        called.dropped += 1
        root = called.root
        if lane.brief or (torch.is_grad_enabled() if root is None else root.training):
            return
        try:
            self._look(lane, function, float(rate))
        except Exception as error:  # noqa: BLE001  # ours, and never the training's
            self.retire(error)

    def _look(self, lane: Lane, function: str, rate: float) -> None:
        """Nothing around it trains: note it, unless somebody switched it on."""
        assert lane.called is not None
        root = lane.called.root
        around = enclosing_in_eval(root, sys._getframe(2))
        if around is None:
            return
        place = user_line(2)
        times = self._told.get(place, 0)
        if times >= MOST_OF_A_LINE or len(self._told) >= MOST_LINES:
            return
        self._told[place] = times + 1
        asked = frame_outside(("torch.", "stepscope."))
        self.session.note(
            ev.DropoutRan,
            function=function,
            rate=to_number(rate),
            around=type(around).__name__,
            grad=torch.is_grad_enabled(),
            explicit=asked is not None and is_explicit(asked),
            model=None if root is None else self.session.registry.model(root),
        )
