"""Which operations ran on which line of the user's code, with the shapes that went by.

A function mode costs half of an update, so it is entered around one call of the model, on
updates that are looked at closely, and left with that call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor
from torch.overrides import TorchFunctionMode

from stepscope.observe.frames import user_line
from stepscope.record.look import SourceLine

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_MOST_LINES = 2000
_SKIPPED = frozenset({"__get__", "__set__", "size", "dim", "stride", "numel", "is_floating_point", "__repr__"})


class Operations(TorchFunctionMode):
    """Notes every operation that returns tensors and was written on a line of the user's."""

    def __init__(self, lines: dict[tuple[str, int, str], SourceLine]) -> None:
        """Collect into ``lines``."""
        super().__init__()
        self._lines = lines

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
            outputs = _shapes(result if isinstance(result, tuple) else (result,))
            if outputs:
                self._note(name, _shapes(args), outputs)
        return result

    def _note(self, name: str, inputs: list[list[int]], outputs: list[list[int]]) -> None:
        file, line = user_line(3)
        if file is None:
            return
        known = self._lines.get((file, line, name))
        count = known.count + 1 if known else 1
        self._lines[file, line, name] = SourceLine(
            file=file, line=line, operation=name, inputs=inputs, outputs=outputs, count=count
        )


def _shapes(values: Sequence[Any]) -> list[list[int]]:
    return [list(value.shape) for value in values[:4] if isinstance(value, Tensor)]
