"""Learning-rate schedulers: several override ``step``, and making one calls it once."""

from __future__ import annotations

import functools
import threading
import warnings
from typing import TYPE_CHECKING, Any

from stepscope.observe.frames import user_frames
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
        self._inside = threading.local()
        self._wrapped: set[type] = set()
        base = module.LRScheduler
        self.patches.replace(base, "__init__", self._make_init)
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
                return original(scheduler, *args, **kwargs)
            for cls in type(scheduler).__mro__[:-1]:
                self._wrap(cls)
            with self._nested():
                original(scheduler, *args, **kwargs)
            try:
                self.session.registry.scheduler(scheduler, made=True)
            except Exception as error:  # noqa: BLE001
                self.retire(error)
            return None

        return __init__

    def _make_step(self, original: Any) -> Any:
        @functools.wraps(original)
        def step(scheduler: Any, *args: Any, **kwargs: Any) -> Any:
            if not self.on or getattr(self._inside, "depth", 0):
                return original(scheduler, *args, **kwargs)
            with self._nested():
                if getattr(scheduler, "_step_count", 1) <= 1 or args or kwargs:
                    result = _as_called_by_user(original, scheduler, *args, **kwargs)
                else:
                    result = original(scheduler, *args, **kwargs)
            try:
                optimizer = getattr(scheduler, "optimizer", None)
                self.session.scheduled(scheduler, rates_of(optimizer) if optimizer is not None else [])
            except Exception as error:  # noqa: BLE001
                self.retire(error)
            return result

        return step

    def _nested(self) -> _Depth:
        return _Depth(self._inside)


class _Depth:
    """Counts how deep this thread is in scheduler code."""

    __slots__ = ("_local",)

    def __init__(self, local: threading.local) -> None:
        self._local = local

    def __enter__(self) -> None:
        self._local.depth = getattr(self._local, "depth", 0) + 1

    def __exit__(self, *_exc: object) -> None:
        self._local.depth -= 1


def _as_called_by_user(original: Any, *args: Any, **kwargs: Any) -> Any:
    """Call ``original``; its warnings, which name their caller, name the user's line and not ours."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = original(*args, **kwargs)
    frame = next(user_frames(), None)
    for warning in caught:
        if frame is None or not warning.filename.startswith(__file__):
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
            continue
        warnings.warn_explicit(
            warning.message,
            warning.category,
            frame.f_code.co_filename,
            frame.f_lineno,
            module=frame.f_globals.get("__name__"),
            registry=frame.f_globals.setdefault("__warningregistry__", {}),
        )
    return result


def _subclasses(cls: type) -> Iterator[type]:
    for sub in cls.__subclasses__():
        yield sub
        yield from _subclasses(sub)
