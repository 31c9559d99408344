"""Which operations ran on which line of the user's code, with the shapes that went by.

A function mode costs half of an update, so it is entered on updates that are looked at closely:
around one call of the model and, in a thorough watch, from that call until backward begins, so
that hand-written losses are seen as well.
"""

from __future__ import annotations

import sys
from bisect import bisect_right
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from stepscope.observe.frames import user_line
from stepscope.observe.gauge import first_tensors, shape_of
from stepscope.observe.quiet import Quietly
from stepscope.observe.thorough.pairs import Pairs
from stepscope.record.look import SourceLine

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from stepscope.observe.thorough.flow import Flow

_MOST_LINES = 2000
_next_number = torch.autograd._get_sequence_nr  # type: ignore[attr-defined]
_WITH_FAST_PATH = (nn.TransformerEncoder, nn.TransformerEncoderLayer, nn.MultiheadAttention)
_SKIPPED = frozenset({"__get__", "__set__", "size", "dim", "stride", "numel", "is_floating_point", "__repr__"})


class Operations(TorchFunctionMode):
    """Notes every operation that returns tensors and was written on a line of the user's."""

    def __init__(self, lines: dict[tuple[str, int, str], SourceLine], flow: Flow | None = None) -> None:
        """Collect into ``lines``; tell ``flow`` of every operation."""
        super().__init__()
        self._flow = flow
        self._lines = lines
        self._quietly = Quietly()
        self._held = False  # on the stack of modes from event to event
        self._spent = False  # to be left as soon as it can be
        self._starts: list[int] = []
        self._places: list[tuple[int, str, int]] = []
        self.pairs = Pairs(lambda: user_line(3))

    # Held from event to event.

    @property
    def held(self) -> bool:
        """Whether it listens from event to event."""
        return self._held and not self._spent

    def hold(self) -> bool:
        """Enter, to be left by :meth:`let_go`; False where modes of the user's are on the stack.

        Modes of the user's that come later lie above this one, so they leave as they came.
        """
        if not self._held and not torch._C._len_torch_function_stack():
            torch._C._push_on_torch_function_stack(self)
            self._held = True
        return self._held

    def let_go(self) -> bool:
        """Leave, in the thread that holds it; False where that has to be tried again.

        Inside an operation that this mode handles (``loss.backward()`` is one) torch has set it
        aside, and puts it back afterwards.
        """
        self._spent = True
        above = []
        while torch._C._len_torch_function_stack():
            mode = torch._C._pop_torch_function_stack()
            if mode is self:
                self._held = False
                break
            above.append(mode)
        for mode in reversed(above):
            torch._C._push_on_torch_function_stack(mode)
        return not self._held

    def place_of(self, number: int) -> tuple[str | None, int]:
        """The user's line that made the autograd node with this sequence number; ``(None, 0)`` where unknown."""
        position = bisect_right(self._starts, number) - 1
        if position < 0 or number >= self._places[position][0]:
            return None, 0
        return self._places[position][1:]

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Run the operation; note it afterwards."""
        if self._spent:
            return func(*args, **(kwargs or {}))
        start = _next_number()
        result = func(*args, **(kwargs or {}))
        name = getattr(func, "__name__", "")
        if self._flow is not None:
            grad = torch.is_grad_enabled()
            with suppress(Exception), self._quietly:
                self._flow.saw(func, name, args, kwargs, result, grad=grad)
        if name not in _SKIPPED and len(self._lines) < _MOST_LINES:
            with suppress(Exception), self._quietly:  # the arguments are the user's: what they raise stays here
                self._note(name, _shapes(args, **(kwargs or {})), _shapes(result), start)
                self.pairs.see(name, args, kwargs, result)
        return result

    def _note(self, name: str, inputs: list[list[int]], outputs: list[list[int]], start: int) -> None:
        file, line = user_line(3)
        if file is None or not outputs:
            return
        end = _next_number()
        if end > start and (not self._starts or start >= self._starts[-1]):
            self._starts.append(start)
            self._places.append((end, file, line))
        name = name[2:-2] if name.startswith("__") else name
        known = self._lines.get((file, line, name))
        count = known.count + 1 if known else 1
        self._lines[file, line, name] = SourceLine(
            file=file, line=line, operation=name, inputs=inputs, outputs=outputs, count=count
        )


def changes_nothing(module: nn.Module) -> bool:
    """Whether a function mode may be entered around a call of ``module``.

    Code that is about to be compiled would be compiled with the mode, and again without it; and
    torch's transformer layers leave their fast path, whose last bits differ, where they see a mode.
    """
    dynamo = sys.modules.get("torch._dynamo.eval_frame")
    patcher = getattr(getattr(dynamo, "TorchPatcher", None), "patch", None)
    if patcher is not None and patcher.cache_info().currsize:  # somebody has called torch.compile
        return False
    return all(part.training for part in module.modules() if isinstance(part, _WITH_FAST_PATH))


def _shapes(*values: Any, **named: Any) -> list[list[int]]:
    return [shape_of(tensor) for _, tensor in first_tensors(*values, **named)[:4]]
