"""Learning-rate schedulers: several override ``step``, and making one calls it once."""

from __future__ import annotations

import functools
import threading
from typing import TYPE_CHECKING, Any

import torch

from stepscope.observe.quiet import unseen
from stepscope.observe.registry import rates_of
from stepscope.observe.seams.base import Seam

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType


class SchedulerSeam(Seam):
    """Notes schedulers being made, and each outermost step."""

    module = "torch.optim.lr_scheduler"
    part = "scheduler"
    inner = True

    def install(self, module: ModuleType) -> None:
        """Wrap ``__init__`` once and every ``step`` there is; later classes when one is made."""
        self._inside = _Inside()
        self._wrapped: set[type] = set()
        base = module.LRScheduler
        self.patches.replace(base, "__init__", self._make_init)
        self.patches.replace(base, "_initial_step", self._make_initial_step)
        for cls in (base, *_subclasses(base)):
            self._wrap(cls)

    def _wrap(self, cls: type) -> None:
        if cls not in self._wrapped and "step" in vars(cls):
            self._wrapped.add(cls)
            self.patches.replace(cls, "step", self._make_step)

    def _make_init(self, original: Any) -> Any:
        @functools.wraps(original)
        def __init__(scheduler: Any, *args: Any, **kwargs: Any) -> None:
            if not self.on:
                original(scheduler, *args, **kwargs)
                return
            for cls in type(scheduler).__mro__[:-1]:
                self._wrap(cls)
            with self._nested():
                original(scheduler, *args, **kwargs)
            try:
                self.session.registry.scheduler(scheduler, made=True)
            except Exception as error:  # noqa: BLE001
                self.retire(error)

        return __init__

    def _make_initial_step(self, original: Any) -> Any:
        # Some schedulers (SequentialLR) take the first step of others again, outside any ``__init__`` of the base.
        @functools.wraps(original)
        def _initial_step(scheduler: Any) -> None:
            with self._nested():
                original(scheduler)

        return _initial_step

    def _make_step(self, original: Any) -> Any:
        @functools.wraps(original)
        def step(scheduler: Any, *args: Any, **kwargs: Any) -> Any:
            if not self.on or torch.compiler.is_compiling() or self._inside.depth:
                return original(scheduler, *args, **kwargs)
            with self._nested():
                result = original(scheduler, *args, **kwargs)
            self._stepped(scheduler)
            return result

        return step

    @unseen
    def _stepped(self, scheduler: Any) -> None:
        try:
            optimizer = getattr(scheduler, "optimizer", None)
            self.session.scheduled(scheduler, rates_of(optimizer) if optimizer is not None else [])
        except Exception as error:  # noqa: BLE001
            self.retire(error)

    def _nested(self) -> _Depth:
        return _Depth(self._inside)


class _Inside(threading.local):
    """How deep this thread is in scheduler code."""

    depth: int = 0


class _Depth:
    """Counts how deep this thread is in scheduler code."""

    __slots__ = ("_local",)

    def __init__(self, local: _Inside) -> None:
        self._local = local

    def __enter__(self) -> None:
        self._local.depth += 1

    def __exit__(self, *_exc: object) -> None:
        self._local.depth -= 1


def _subclasses(cls: type) -> Iterator[type]:
    found: list[type] = type.__subclasses__(cls)
    for sub in found:
        yield sub
        yield from _subclasses(sub)
