"""Running torch code of our own so that neither the user's modes nor autograd notice."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import torch
from torch.utils import _python_dispatch

if TYPE_CHECKING:
    from types import TracebackType


class Quietly:
    """No gradients, no function or dispatch modes, inside the block. Counts its ``seconds``."""

    __slots__ = ("_began", "_function", "_grad", "_modes", "seconds")

    def __init__(self) -> None:
        """Be ready to be entered; one at a time."""
        self.seconds = 0.0

    def __enter__(self) -> None:
        """Set the user's modes aside."""
        self._began = time.perf_counter()
        self._grad = torch.is_grad_enabled()
        torch._C._set_grad_enabled(False)
        self._function: Any = torch._C.DisableTorchFunction()
        self._function.__enter__()
        self._modes: Any = None
        if torch._C._len_torch_dispatch_stack():
            self._modes = _python_dispatch._disable_current_modes()
            self._modes.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Put them back."""
        if self._modes is not None:
            self._modes.__exit__(kind, error, trace)
        self._function.__exit__(kind, error, trace)
        torch._C._set_grad_enabled(self._grad)
        self.seconds += time.perf_counter() - self._began
