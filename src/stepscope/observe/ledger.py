"""Whose gradient was filled, used by a step, cleared, or added to after it was used.

Asked only where an update is noted in full; a loop that has proved regular pays nothing here.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from stepscope.observe.gauge import looks_plain

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor

    from stepscope.observe.registry import ParameterEntry, Registry


@dataclass
class Cleared:
    """Gradients that were found cleared without a call of ``zero_grad``."""

    by: str
    parameters: list[ParameterEntry] = field(default_factory=list)


@dataclass
class Filled:
    """What a backward did to the gradients of known parameters."""

    owners: list[str]
    filled: int
    unowned: int
    stale: list[str]
    altered: int = 0


def _identity(gradient: Tensor | None) -> tuple[int, int] | None:
    return None if gradient is None else (id(gradient), gradient._version)


class Ledger:
    """Follows the gradient of every known parameter."""

    def __init__(self, registry: Registry) -> None:
        """Follow the parameters of ``registry``."""
        self._registry = registry

    def forget(self) -> None:
        """Updates went by unseen: nothing is known of any gradient until the next step."""
        for entry, _parameter in self._registry.entries():
            entry.applied, entry.filled, entry.stale = None, False, False
            entry.used, entry.zeroed, entry.altered = None, False, False

    def before_backward(self) -> list[Cleared]:
        """Find what was cleared silently, and what is about to be added to although used."""
        assigned, zeroed = Cleared("assignment"), Cleared("zero")
        used: list[tuple[ParameterEntry, Tensor]] = []
        for entry, parameter in self._registry.entries():
            gradient = parameter.grad
            entry.before = _identity(gradient)
            entry.stale = False
            if entry.applied is None and not entry.filled:
                continue
            if gradient is None:
                assigned.parameters.append(entry)
            elif entry.applied is not None or not entry.owners:  # nothing tells when those nobody owns are used
                used.append((entry, gradient))
        zeroed.parameters = self._zeroed(used)
        found = [cleared for cleared in (assigned, zeroed) if cleared.parameters]
        for cleared in found:
            for entry in cleared.parameters:
                entry.applied, entry.filled, entry.altered = None, False, False
        return found

    def _zeroed(self, used: list[tuple[ParameterEntry, Tensor]]) -> list[ParameterEntry]:
        """Those of ``used`` whose gradient was set to zero; of the others, an applied one is stale."""
        zero = _all_zero([gradient for _, gradient in used])
        uncleared = {tuple(entry.owners) for (entry, _), is_zero in zip(used, zero, strict=True) if not is_zero}
        found = []
        for (entry, _), is_zero in zip(used, zero, strict=True):
            moved = entry.applied is not None and entry.before != entry.applied
            if not is_zero:
                entry.stale = entry.applied is not None
                entry.altered = entry.altered or (entry.stale and entry.before != entry.last)
            elif moved or tuple(entry.owners) not in uncleared:
                # Otherwise it is untouched and others of its optimizer are not zero: so was it from the start.
                found.append(entry)
        return found

    def after_backward(self) -> Filled:
        """Find whose gradients the backward filled."""
        owners: dict[str, None] = {}
        filled = unowned = 0
        stale = []
        altered = 0
        for entry, parameter in self._registry.entries():
            now = _identity(parameter.grad)
            if now is None or now == entry.before:
                continue
            entry.filled = True
            entry.zeroed = False
            entry.last = now
            filled += 1
            unowned += not entry.owners
            owners.update(dict.fromkeys(entry.owners))
            if entry.stale:
                stale.append(entry.id)
                altered += entry.altered
        return Filled(list(owners), filled, unowned, stale, altered)

    def silently_cleared(self, parameters: Iterable[Tensor]) -> Cleared | None:
        """At a step: gradients that a backward filled and that are gone."""
        cleared = Cleared("assignment")
        for parameter in parameters:
            entry = self._registry.entry(parameter)
            if entry is not None and entry.filled and parameter.grad is None:
                entry.filled, entry.applied = False, None
                cleared.parameters.append(entry)
        return cleared if cleared.parameters else None

    def applied(self, parameters: Iterable[Tensor], *, measured: bool = False) -> None:
        """A step has used the gradients of ``parameters``; ``measured``: remember by what they can be known again."""
        used = [parameter for parameter in parameters if parameter.grad is not None]
        marks = _marks([parameter.grad for parameter in used]) if measured else [None] * len(used)
        for parameter, mark in zip(used, marks, strict=True):
            entry = self._registry.entry(parameter)
            if entry is not None:
                entry.applied = entry.last = _identity(parameter.grad)
                entry.filled = entry.zeroed = entry.altered = False
                entry.trained = True
                entry.used, entry.mark = weakref.ref(parameter.grad), mark

    def clipped(self, parameters: Iterable[Tensor]) -> None:
        """Torch has changed the gradients of ``parameters`` in place: they are still the same ones."""
        for parameter in parameters:
            entry = self._registry.entry(parameter)
            if entry is not None and parameter.grad is not None:
                before, entry.last = entry.applied, _identity(parameter.grad)
                if before is not None and entry.last == (before[0], before[1] + 1):
                    entry.applied = entry.last  # nothing but the clipping has touched it since the step

    def standing(self, parameters: Iterable[Tensor], *, watched: bool) -> tuple[int, int]:
        """How many gradients came since the last step or clearing, and how many were applied before.

        -1 where they are not ``watched``: then nobody asks.
        """
        if not watched:
            return -1, -1
        fresh = 0
        again: list[Tensor] = []
        marks: list[Tensor | None] = []
        zeroed: list[Tensor] = []
        for parameter in parameters:
            gradient = parameter.grad
            entry = self._registry.entry(parameter) if gradient is not None else None
            if gradient is None:
                continue
            if entry is None or entry.filled:
                fresh += 1
            elif entry.zeroed:
                zeroed.append(gradient)
            elif entry.applied == _identity(gradient) and entry.used is not None and entry.used() is gradient:
                again.append(gradient)
                marks.append(entry.mark)
            else:
                fresh += 1
        if not fresh:  # by value: ``grad.data.zero_()`` and ``grad.data.copy_(...)`` leave no trace
            if not _same_but_for_a_factor(again, marks):
                return len(again) + len(zeroed), 0
            again = [g for g, is_zero in zip(again, _all_zero(again), strict=True) if not is_zero]
            fresh = sum(not is_zero for is_zero in _all_zero(zeroed))
        return fresh, len(again)

    def cleared(self, parameters: Iterable[Tensor]) -> tuple[list[str], int]:
        """``zero_grad`` ran: the optimizers that have no filled gradient left, and how many it cleared."""
        owners: dict[str, None] = {}
        count = 0
        for parameter in parameters:
            entry = self._registry.entry(parameter)
            if entry is not None:
                count += entry.filled or entry.applied is not None
                entry.filled, entry.applied, entry.altered = False, None, False
                entry.zeroed = parameter.grad is not None
                owners.update(dict.fromkeys(entry.owners))
        return self.emptied(owners), count

    def emptied(self, owners: Iterable[str]) -> list[str]:
        """Those of ``owners`` none of whose parameters waits with a filled gradient."""
        waiting: set[str] = set()
        for entry, _parameter in self._registry.entries():
            if entry.filled:
                waiting.update(entry.owners)
        return [owner for owner in owners if owner not in waiting]


def _all_zero(gradients: list[Tensor]) -> list[bool]:
    # Read by value: ``grad.data.zero_()`` leaves no trace in the version counter.
    any_left = [_any_left(gradient) for gradient in gradients]
    if not any_left:
        return []
    at = any_left[0].device
    return [not left for left in torch.stack([flag.to(at) for flag in any_left]).tolist()]  # all at once: one wait


def _marks(gradients: list[Tensor | None]) -> list[Tensor | None]:
    """Two norms of each gradient, by which it can be known again; None where it cannot be measured."""
    plain = [g.detach() for g in gradients if g is not None and _measurable(g)]
    if not plain:
        return [None] * len(gradients)
    marks = iter(zip(torch._foreach_norm(plain, 1), torch._foreach_norm(plain, 2), strict=True))
    return [torch.stack(next(marks)).double() if g is not None and _measurable(g) else None for g in gradients]


def _measurable(gradient: Tensor) -> bool:
    return looks_plain(gradient) and gradient.is_floating_point() and gradient.numel() > 0


def _same_but_for_a_factor(gradients: list[Tensor], before: list[Tensor | None]) -> bool:
    """Whether the gradients are those of ``before``; clipping may have scaled all of them alike."""
    pairs = zip(_marks([*gradients]), before, strict=True)
    known = [(now, was) for now, was in pairs if now is not None and was is not None]
    if not known:
        return True
    at = known[0][0].device
    now, was = (torch.stack([pair[side].to(at) for pair in known]) for side in (0, 1))
    if not torch.isfinite(now).all():
        return True
    if not was.any():
        return not now.any()
    factor = (now * was).sum() / (was * was).sum()
    return bool(torch.allclose(now, factor * was, rtol=1e-3, atol=float(was.max()) * 1e-6)) and float(factor) < 1.001


def _any_left(gradient: Tensor) -> Tensor:
    if gradient.is_sparse:
        gradient = gradient.coalesce().values()
    if not looks_plain(gradient):
        return torch.ones((), dtype=torch.bool)
    return gradient.detach().any()
