"""``torch.compile``: when code begins to be compiled, all that it could trace steps aside."""

from __future__ import annotations

import inspect
import sys
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any

from stepscope.observe.patching import wrapper_codes
from stepscope.observe.seams.base import Seam
from stepscope.record import events as ev

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

_OWN = __name__.partition(".")[0]


class CompileSeam(Seam):
    """Makes the session note only boundaries from the first compilation on."""

    module = "torch._dynamo.callback"
    part = "compiling"

    def install(self, module: ModuleType) -> None:
        """Ask to be told when a compilation begins; look whether one has been already."""
        _skip_own_code()
        self._handler: Any = module.callback_handler
        self._handler.register_start_callback(self._started)
        utils = sys.modules.get("torch._dynamo.utils")
        if utils is not None and utils.counters["frames"]:
            self._started()

    def remove(self) -> None:
        """Be told no more."""
        super().remove()
        handler = getattr(self, "_handler", None)
        if handler is not None and self._started in handler.start_callbacks:
            handler.remove_start_callback(self._started)

    def _started(self, *_args: Any) -> None:
        if not self.on or self.session.compiled:
            return
        try:
            _skip_own_code()
            self.session.compile_began()
            self.session.note_aside(ev.CompilingStarted)
        except Exception as error:  # noqa: BLE001
            self.retire(error)


def _skip_own_code() -> None:
    """Have compiled code that calls back into stepscope run it as it is: it is not to be compiled."""
    frames = sys.modules.get("torch._dynamo.eval_frame")
    skip = getattr(frames, "skip_code", None)
    if skip is None:
        return
    own = [module for name, module in list(sys.modules.items()) if name.partition(".")[0] == _OWN]
    functions = [f for module in own for value in list(vars(module).values()) for f in _functions_of(value)]
    codes = [code for function in functions for code in _codes_of(function.__code__)]
    for code in (*codes, *wrapper_codes.values()):
        if code.co_name != "__call__":  # what torch.compile of a module starts at
            skip(code)


def _functions_of(value: Any) -> Iterator[FunctionType]:
    if isinstance(value, type) and value.__module__.partition(".")[0] == _OWN:
        for member in vars(value).values():
            yield from _functions_of(getattr(member, "fget", None) or getattr(member, "__func__", member))
    elif isinstance(value, FunctionType) and value.__module__.partition(".")[0] == _OWN:
        yield inspect.unwrap(value)
        yield value


def _codes_of(code: CodeType) -> Iterator[CodeType]:
    """``code`` and that of the functions inside it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes_of(constant)
