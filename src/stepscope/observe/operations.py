"""Which operations ran on which line of the user's code, with the shapes that went by.

A function mode costs half of an update, so it is entered around one call of the model, on
updates that are looked at closely, and left with that call.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from torch import nn
from torch.overrides import TorchFunctionMode

from stepscope.observe.frames import user_line
from stepscope.observe.gauge import first_tensors, shape_of
from stepscope.observe.quiet import Quietly
from stepscope.record.look import SourceLine

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_MOST_LINES = 2000
_WITH_FAST_PATH = (nn.TransformerEncoder, nn.TransformerEncoderLayer, nn.MultiheadAttention)
_SKIPPED = frozenset({"__get__", "__set__", "size", "dim", "stride", "numel", "is_floating_point", "__repr__"})


class Operations(TorchFunctionMode):
    """Notes every operation that returns tensors and was written on a line of the user's."""

    def __init__(self, lines: dict[tuple[str, int, str], SourceLine]) -> None:
        """Collect into ``lines``."""
        super().__init__()
        self._lines = lines
        self._quietly = Quietly()

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Run the operation; note it afterwards."""
        result = func(*args, **(kwargs or {}))
        name = getattr(func, "__name__", "")
        if name not in _SKIPPED and len(self._lines) < _MOST_LINES:
            with suppress(Exception), self._quietly:  # the arguments are the user's: what they raise stays here
                self._note(name, _shapes(args, **(kwargs or {})), _shapes(result))
        return result

    def _note(self, name: str, inputs: list[list[int]], outputs: list[list[int]]) -> None:
        file, line = user_line(3)
        if file is None or not outputs:
            return
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
