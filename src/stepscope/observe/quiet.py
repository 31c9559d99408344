"""Running torch code of our own so that neither the user's modes nor autograd notice."""

from __future__ import annotations

import functools
import time
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import torch
from torch.utils import _python_dispatch

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

_P = ParamSpec("_P")
_R = TypeVar("_R")

_function_modes = torch._C._len_torch_function_stack
_dispatch_modes = torch._C._len_torch_dispatch_stack


class Quietly:
    """No gradients, no function or dispatch modes, inside the block. Counts its ``seconds``."""

    __slots__ = ("_began", "_function", "_grad", "_modes", "seconds")

    def __init__(self) -> None:
        """Be ready to be entered; one at a time."""
        self.seconds = 0.0

    @property
    def recording(self) -> bool:
        """Whether gradients were recorded before the block was entered."""
        return self._grad

    def __enter__(self) -> None:
        """Set the user's modes aside."""
        self._began = time.perf_counter()
        self._modes: Any = None
        if _dispatch_modes():  # first: nothing is to be put back should this fail
            self._modes = _python_dispatch._disable_current_modes()
            self._modes.__enter__()
        self._function: Any = torch._C.DisableTorchFunction()
        self._function.__enter__()
        self._grad = torch.is_grad_enabled()
        torch._C._set_grad_enabled(False)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Put them back."""
        torch._C._set_grad_enabled(self._grad)
        self._function.__exit__(kind, error, trace)
        if self._modes is not None:
            self._modes.__exit__(None, None, None)
        self.seconds += time.perf_counter() - self._began


def unseen(observe: Callable[_P, _R]) -> Callable[_P, _R]:
    """Make ``observe`` invisible to function and dispatch modes of the user's, where there are any."""

    @functools.wraps(observe)
    def call(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        if not _function_modes() and not _dispatch_modes():
            return observe(*args, **kwargs)
        with Quietly():
            return observe(*args, **kwargs)

    return call
