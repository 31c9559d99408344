"""What all seams share: how they go in, how they fail, how they come out."""

from __future__ import annotations

import functools
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

import torch

from stepscope.observe.patching import Patches
from stepscope.observe.quiet import unseen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

    from stepscope.observe.lane import Lane
    from stepscope.observe.session import Session


class Seam:
    """A place in torch where something can be seen to happen.

    A subclass names the module that must have been imported and puts its patches or hooks in
    from :meth:`install`. What it observes runs only while ``on``; a failure of ours switches it
    off, for good. An ``inner`` seam listens inside every update; while a regular loop is only
    counted, its patches are lifted.
    """

    module: ClassVar[str] = "torch"
    part: ClassVar[str] = ""
    inner: ClassVar[bool] = False

    def __init__(self, session: Session) -> None:
        """Belong to ``session``; not installed yet."""
        self.session = session
        self.on = True
        self.patches = Patches()
        if self.inner:
            session.inner[self.part] = self.patches

    def adopt(self, into: list[Seam]) -> Callable[[ModuleType], None]:
        """What to do once the module is there: install, and count as in; a failure is ours alone."""

        def act(module: ModuleType) -> None:
            try:
                into.append(self)
                self.install(module)
            except Exception as error:  # noqa: BLE001
                self.remove()
                self.retire(error)

        return act

    def install(self, module: ModuleType) -> None:
        """Put patches and hooks in; ``module`` is the one named by :attr:`module`."""
        raise NotImplementedError

    def remove(self) -> None:
        """Take everything out again."""
        self.on = False
        self.patches.remove()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Run the block with this seam out of the way."""
        with ExitStack() as stack:
            for patches in self.all_patches():
                stack.enter_context(patches.lifted())
            yield

    def all_patches(self) -> list[Patches]:
        """Every set of patches of this seam."""
        return [self.patches]

    def lane(self) -> Lane | None:
        """The lane of this thread; None after a failure of ours."""
        try:
            return self.session.local.lane or self.session.lane()
        except Exception as error:  # noqa: BLE001
            self.retire(error)
            return None

    def retire(self, error: Exception) -> None:
        """A failure of ours: say so and observe no more here."""
        if self.on:
            self.on = False
            self.session.defect(self.part, error)

    def outermost(self, observe: Callable[..., None]) -> Callable[[Any], Any]:
        """Make wrappers like :meth:`after` for methods that modules call on their children, too.

        Only the call that user code made is observed.
        """

        def make(original: Any) -> Any:
            @functools.wraps(original)
            def wrapper(*args: Any, **kwargs: Any) -> Any:
                lane = None if not self.on or torch.compiler.is_compiling() else self.lane()
                if lane is None or lane.quiet:
                    return original(*args, **kwargs)
                lane.quiet += 1
                try:
                    result = original(*args, **kwargs)
                finally:
                    lane.quiet -= 1
                try:
                    observe(result, *args, **kwargs)
                except Exception as error:  # noqa: BLE001  # ours, and never the training's
                    self.retire(error)
                return result

            return wrapper

        return make

    def lifted_while_scripting(self, original: Any) -> Any:
        """Wrap ``torch.jit.script``: the scripting compiler knows torch's own functions by identity."""

        @functools.wraps(original)
        def script(*args: Any, **kwargs: Any) -> Any:
            with self.patches.lifted():
                return original(*args, **kwargs)

        return script

    def after(self, observe: Callable[..., None]) -> Callable[[Any], Any]:
        """Make wrappers that call ``observe(result, *args, **kwargs)`` after the original."""
        observe = unseen(observe)

        def make(original: Any) -> Any:
            @functools.wraps(original)
            def wrapper(*args: Any, **kwargs: Any) -> Any:
                result = original(*args, **kwargs)
                if self.on and not torch.compiler.is_compiling():
                    try:
                        observe(result, *args, **kwargs)
                    except Exception as error:  # noqa: BLE001  # ours, and never the training's
                        self.retire(error)
                return result

            return wrapper

        return make
