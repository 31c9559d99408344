"""A loop that has proved regular: its steps are counted, and now and then a loss is read.

On the smallest jobs a microsecond counts, and code that runs once per update runs with cold
caches: so the hook that counts touches next to nothing, and the rest is done many steps at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from stepscope.observe.patching import Patches


class Sleep:
    """Counts the steps of the only thread that trains until something wakes it."""

    def __init__(self, finish: Callable[[list[Any]], None], backward: Patches, every: int) -> None:
        """Tell ``finish`` which optimizers stepped; one in ``every`` updates has its backward heard."""
        self._finish = finish
        self._backward = backward
        self._every = max(every, 2)
        self._steps: list[Any] = []
        self._limit = self._every
        self._glimpsing = False

    def stepped(self, optimizer: Any, _args: Any, _kwargs: Any) -> None:
        """Torch's hook after each step."""
        steps = self._steps
        steps.append(optimizer)
        if len(steps) >= self._limit:
            self.catch_up()

    def catch_up(self, *, again: bool = True) -> None:
        """Count the steps so far; with ``again``, go on to listen (or not) to the next backward."""
        steps, self._steps = self._steps, []
        if again:
            self._glimpsing = not self._glimpsing
            if self._glimpsing:
                self._limit = 1
                self._backward.lower()
            else:
                self._limit = self._every - 1
                self._backward.lift()
        if steps:
            self._finish(steps)
