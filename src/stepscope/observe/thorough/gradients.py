"""What each backward adds to the gradients: measured in close looks of a thorough watch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from stepscope.observe.gauge import looks_plain, thinned
from stepscope.record.look import GatheringLook
from stepscope.record.numbers import to_number

if TYPE_CHECKING:
    from torch import Tensor

    from stepscope.observe.registry import ParameterEntry, Registry

#: Rounds of one update that are measured.
MOST_ROUNDS = 16
_HALF = frozenset({torch.float16, torch.bfloat16})


@dataclass
class _Owned:
    """One optimizer's share of one backward; each tensor with how much it was thinned."""

    weights: list[tuple[Tensor, float]] = field(default_factory=list)
    before: list[tuple[Tensor, float]] = field(default_factory=list)
    added: list[tuple[Tensor, float]] = field(default_factory=list)
    after: list[tuple[Tensor, float]] = field(default_factory=list)


class Gathering:
    """Measures the gradients around each backward of one update."""

    def __init__(self, registry: Registry) -> None:
        """Measure the parameters of ``registry``."""
        self._registry = registry
        self._rounds = 0
        self._held: list[tuple[ParameterEntry, Tensor, Tensor | None]] = []
        self._measured: list[tuple[int, str, int, list[Tensor]]] = []

    def before(self) -> None:
        """Backward begins: keep what it will add to."""
        self._held = []
        if self._rounds >= MOST_ROUNDS:
            return
        for entry, parameter in self._registry.entries():
            if parameter.requires_grad and _measurable(parameter):
                gradient = parameter.grad
                waits = entry.filled or entry.applied is not None
                held = gradient is not None and waits and _measurable(gradient)
                self._held.append(
                    (entry, parameter, thinned(gradient).clone() if held and gradient is not None else None)
                )

    def after(self) -> None:
        """Backward ended: measure what came, and let go of what was kept."""
        owned: dict[str, _Owned] = {}
        for entry, parameter, held in self._held:
            gradient = parameter.grad
            if gradient is None or not _measurable(gradient) or entry.before == (id(gradient), gradient._version):
                continue
            part = thinned(gradient)
            if held is not None and held.shape != part.shape:
                continue
            grown = (gradient.numel() / max(part.numel(), 1)) ** 0.5
            share = owned.setdefault(entry.owners[0] if entry.owners else "", _Owned())
            share.weights.append((thinned(parameter.detach()), grown))
            share.after.append((part, grown))
            share.added.append((part if held is None else part - held, grown))
            if held is not None:
                share.before.append((held, grown))
        for owner, share in owned.items():
            norms = [_norm(tensors) for tensors in (share.before, share.added, share.after, share.weights)]
            self._measured.append((self._rounds, owner, len(share.after), norms))
        self._held = []
        self._rounds += 1

    def looks(self) -> list[GatheringLook]:
        """The numbers."""
        looks = []
        for number, owner, parameters, norms in self._measured:
            before, added, after, weights = (to_number(float(norm)) for norm in norms)
            looks.append(
                GatheringLook(
                    round=number,
                    owner=owner,
                    parameters=parameters,
                    before=before,
                    added=added,
                    after=after,
                    weights=weights,
                )
            )
        return looks


def _measurable(tensor: Tensor) -> bool:
    return looks_plain(tensor) and tensor.is_floating_point() and tensor.numel() > 0


def _norm(tensors: list[tuple[Tensor, float]]) -> Tensor:
    """The norm of all of them as one vector, on the device of the first."""
    if not tensors:
        return torch.zeros(())
    at = tensors[0][0].device
    # The norm of many large numbers in half precision may overflow.
    norms = torch._foreach_norm([t.float() if t.dtype in _HALF else t for t, _ in tensors])
    weighted = [norm.to(at, torch.float64) * grown for norm, (_, grown) in zip(norms, tensors, strict=True)]
    total: Tensor = torch.linalg.vector_norm(torch.stack(weighted))
    return total
