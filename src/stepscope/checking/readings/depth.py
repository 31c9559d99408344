"""How gradients change along the depth of a network, as close looks saw it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stepscope.record.events import Backward
    from stepscope.record.look import LayerLook, Look, ParameterLook
    from stepscope.record.numbers import Number
    from stepscope.record.run import RankRun
    from stepscope.record.updates import Update


@dataclass(frozen=True)
class Profile:
    """One look at an optimizer's layers, in the order they ran.

    ``first`` and ``last`` are the typical sizes (standard deviations) of the gradients of the outputs
    of ``layer``, an early one, and ``end``, the last one that got most. ``first_most`` is the largest
    in the first quarter of the calls, ``last_least`` the smallest in the last quarter. ``early_weights``
    is the largest gradient (root mean square of a parameter's) in that first quarter,
    ``most_weights`` that of all. ``gradient`` and ``weights`` are norms of all that the optimizer holds.
    """

    update: Update
    depth: int
    layer: LayerLook
    end: LayerLook
    first: float
    last: float
    first_most: float
    last_least: float
    early_weights: float
    most_weights: float
    gradient: float
    weights: float

    @property
    def scaled(self) -> bool:
        """Whether a loss scale is in these gradients."""
        return any(r.backward is not None and r.backward.scale is not None for r in self.update.rounds)


#: How much less must come back to the first layers than to the last: their outputs, and their weights.
FADED = 1e-4


def fades(profile: Profile) -> bool:
    """Whether the first layers get next to nothing, while the last ones do get something."""
    return (
        profile.last > 0
        and profile.first <= FADED * profile.last
        and profile.early_weights <= FADED * profile.most_weights
    )


def looked_at(main: RankRun, owner: str) -> list[Update]:
    """The updates of an optimizer that were looked at closely, and whose rounds are those of one backward."""
    return [u for u in main.looks if owner in u.owners and sum(r.backward is not None for r in u.rounds) == 1]


def last_backward(update: Update) -> Backward | None:
    """The backward that an update ended with."""
    return next((r.backward for r in reversed(update.rounds) if r.backward is not None), None)


def along_depth(update: Update, owner: str) -> Profile | None:
    """The profile of what ``owner`` steps; None where the look tells too little, or not all is finite."""
    look = update.look
    if look is None:
        return None
    sizes = {
        p.name: _typical(p.gradient_norm, p.before.shape) for p in look.parameters if p.before and _is_of(p, owner)
    }
    gradient, weights = size_of(update, owner)
    calls = _calls(look, set(sizes))
    if len(calls) < 2 or not all(math.isfinite(size) for size in sizes.values()):
        return None
    grads = [float(call.gradient.std) for call in calls if call.gradient is not None and call.gradient.std is not None]
    if not all(math.isfinite(grad) for grad in grads):
        return None
    quarter, half = max(len(calls) // 4, 1), max(len(calls) // 2, 1)
    early = [sizes[name] for call in calls[:quarter] for name in call.parameters if name in sizes]
    least = min(range(half), key=lambda i: grads[i])
    most = max(range(half, len(calls)), key=lambda i: grads[i])
    return Profile(
        update=update,
        depth=len(calls),
        layer=calls[least],
        end=calls[most],
        first=max(grads[:quarter]),
        last=grads[most],
        first_most=max(grads[:quarter]),
        last_least=min(grads[-quarter - 1 : -1] or grads[-1:]),
        early_weights=max(early, default=0.0),
        most_weights=max(sizes.values()),
        gradient=gradient,
        weights=weights,
    )


def growth_through_time(update: Update, owner: str) -> tuple[LayerLook, float] | None:
    """The recurrent layer in whose steps the gradient grew most, and by how much at least; None where unknown.

    The states of a layer with tanh are within 1. So without growth on the way back through time the
    gradient of the recurrent weights is at most the sum of the sizes of all that came to its outputs.
    """
    look = update.look
    if look is None:
        return None
    norms = {p.name: float(p.gradient_norm or 0.0) for p in look.parameters if _is_of(p, owner)}
    found = []
    for layer in look.layers:
        back = layer.gradient
        if layer.cls not in {"RNN", "GRU", "LSTM"} or back is None or back.std is None:
            continue
        if "relu" in layer.options or "proj_size" in layer.options:
            continue
        size = math.hypot(float(back.mean or 0.0), float(back.std)) * math.prod(back.shape)
        most = max((norms[p] for p in layer.parameters if "weight_hh" in p and p in norms), default=0.0)
        if size > 0 and math.isfinite(most / size):
            found.append((layer, most / size))
    return max(found, key=lambda one: one[1], default=None)


def size_of(update: Update, owner: str) -> tuple[float, float]:
    """The norms of the gradients and of the weights that ``owner`` holds."""
    looked = [p for p in update.look.parameters if _is_of(p, owner)] if update.look is not None else []
    return (
        math.hypot(*(float(p.gradient_norm or 0.0) for p in looked)),
        math.hypot(*(float(p.weight_norm or 0.0) for p in looked)),
    )


def _is_of(parameter: ParameterLook, owner: str) -> bool:
    return parameter.optimizer == owner and parameter.before is not None


def _calls(look: Look, names: set[str]) -> list[LayerLook]:
    """The calls of layers with weights of theirs (no embeddings: most of their rows get nothing)."""
    return [
        layer
        for layer in look.layers
        if layer.round == 0
        and layer.gradient is not None
        and layer.gradient.std is not None
        and "Embedding" not in layer.cls
        and any(name in names for name in layer.parameters)
    ]


def _typical(norm: Number | None, shape: list[int]) -> float:
    return float(norm or 0.0) / math.sqrt(max(math.prod(shape), 1))
