"""The one mechanism that replaces attributes of torch and puts every one back."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass
from types import CodeType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_MISSING = object()

#: Every wrapper carries this attribute, so that a test can prove that none is left.
MARK = "__stepscope__"
#: Where torch.compile looks for what a function stands for: it compiles that, and sees nothing of
#: ours. (Of methods it would lose ``self``: their wrappers ask ``is_compiling`` instead.)
_COMPILED_AS = "_torchdynamo_inline"


#: Code of wrappers as they run, by the code they were written as.
wrapper_codes: dict[CodeType, CodeType] = {}


def _hide_from_warnings(wrapper: FunctionType) -> None:
    """Have a warning of torch that names its caller's line name the user's, not the wrapper's.

    ``warnings`` passes over frames of the import system, which it knows by their file's name.
    """
    code = wrapper.__code__
    if code not in wrapper_codes:
        wrapper_codes[code] = code.replace(co_filename=f"{code.co_filename} (as importlib._bootstrap)")
    wrapper.__code__ = wrapper_codes[code]


@dataclass
class _Patch:
    owner: Any
    name: str
    original: Any
    wrapper: Any
    inherited: bool

    @property
    def current(self) -> Any:
        return vars(self.owner).get(self.name, _MISSING)

    def put(self) -> None:
        setattr(self.owner, self.name, self.wrapper)

    def remove(self) -> None:
        # Whoever patched on top of us keeps their patch; our wrapper below it does nothing more.
        if self.current is not self.wrapper:
            return
        if self.inherited:
            delattr(self.owner, self.name)
        else:
            setattr(self.owner, self.name, self.original)


class Patches:
    """A set of replaced attributes that can be lifted for a while and is removed as one."""

    def __init__(self) -> None:
        """Start with nothing replaced."""
        self._patches: list[_Patch] = []
        self._lifted: list[_Patch] = []
        self._lock = threading.RLock()

    def __bool__(self) -> bool:
        """Whether anything is replaced."""
        return bool(self._patches)

    def replace(self, owner: Any, name: str, make: Callable[[Any], Any]) -> None:
        """Put ``make(original)`` in place of attribute ``name`` of a module or class.

        An attribute that ``owner`` does not have is passed over: not every torch has every seam.
        """
        original = vars(owner).get(name, _MISSING)
        inherited = original is _MISSING
        if inherited:
            original = getattr(owner, name, _MISSING)
            if original is _MISSING:
                return
        wrapper = make(original)
        setattr(wrapper, MARK, True)
        if isinstance(wrapper, FunctionType):
            _hide_from_warnings(wrapper)
        if isinstance(original, FunctionType) and isinstance(owner, ModuleType):
            setattr(wrapper, _COMPILED_AS, original)
        with self._lock:
            patch = _Patch(owner, name, original, wrapper, inherited)
            self._patches.append(patch)
            patch.put()

    def remove(self) -> None:
        """Put everything back, in reverse order."""
        with self._lock:
            self._lifted.clear()
            while self._patches:
                self._patches.pop().remove()

    def lift(self) -> None:
        """Put everything back for a while: until :meth:`lower`."""
        with self._lock:
            for patch in reversed(self._patches):
                if patch.current is patch.wrapper:
                    patch.remove()
                    self._lifted.append(patch)

    def lower(self) -> None:
        """Replace again what :meth:`lift` put back, unless somebody else has replaced it since."""
        with self._lock:
            for patch in reversed(self._lifted):
                if patch.current is (_MISSING if patch.inherited else patch.original):
                    patch.put()
            self._lifted.clear()

    @contextmanager
    def lifted(self) -> Iterator[None]:
        """Run the block with everything as torch made it."""
        was_lifted = bool(self._lifted)
        self.lift()
        try:
            yield
        finally:
            if not was_lifted:
                self.lower()
