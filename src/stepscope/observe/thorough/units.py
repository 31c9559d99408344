"""Units that no longer answer: always zero behind a ReLU, or at the limit of a sigmoid or tanh.

Fed with every operation of an update that is looked at closely. A unit is a feature or a channel;
it is dead in a look where it was zero for the whole batch and at all positions, in all calls. Which
units were dead is remembered from look to look, so that those that stay dead can be counted.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from stepscope.observe.frames import user_line
from stepscope.observe.gauge import Fetch, looks_plain, thinned
from stepscope.record.look import UnitsLook
from stepscope.record.numbers import to_number

#: A unit that was dead in so many looks in a row stays dead.
LASTING = 4
#: Places of one look, and units of one layer, that are followed.
MOST_PLACES = 200
MOST_UNITS = 1 << 16
#: How near to its limit (as a share of the way from the middle) an output is saturated.
NEAR = 0.98
_RECTIFIERS = frozenset({"relu", "relu_", "relu6"})
_SQUASHERS = frozenset({"sigmoid", "sigmoid_", "tanh", "tanh_"})

#: Nodes behind which features lie in the second dimension.
_BY_CHANNEL = ("Convolution", "BatchNorm", "GroupNorm", "InstanceNorm")
_Key = tuple[str, int, str, str]
#: For each place: which units were dead in its last looks.
Memory = dict[_Key, "deque[Tensor]"]


@dataclass
class _Place:
    operation: str
    place: tuple[str, int]
    layer: int
    round: int
    calls: int = 0
    elements: int = 0
    rows: int = 0
    units: int = 0
    inner: bool = False
    alive: Tensor | None = None
    near: Tensor | None = None
    slope: Tensor | None = None
    node: int = -1


class Units:
    """The activations of one look. ``layer`` is the index of the layer whose call ended last."""

    def __init__(self, memory: Memory) -> None:
        """Remember in ``memory`` what the next look compares with."""
        self._memory = memory
        self._places: dict[_Key, _Place] = {}
        self._measured: list[tuple[list[_Place], Fetch]] = []
        self.layer = -1
        self.path = ""
        self.round = 0

    def saw(self, name: str, result: Any) -> None:
        """An operation returned ``result``."""
        rectifies = name in _RECTIFIERS
        if not rectifies and name not in _SQUASHERS:
            return
        if not isinstance(result, Tensor) or not result.requires_grad or result.dim() < 2 or not looks_plain(result):
            return
        file, line = user_line(2)
        if file is None or not result.numel() or max(result.shape[1], result.shape[-1]) > MOST_UNITS:
            return
        operation = name.rstrip("_")
        key = (file, line, operation, self.path)
        place = self._places.get(key)
        if place is None:
            if len(self._places) >= MOST_PLACES:
                return
            place = self._places[key] = _Place(operation, (file, line), self.layer, self.round)
        if place.round != self.round:
            return
        node = result.grad_fn
        values = result.detach()
        place.calls += 1
        place.elements += values.numel()
        place.rows = values.shape[0]
        if node is not None:
            place.node = node._sequence_nr()
        if rectifies:
            _count_alive(place, values, _unit_dim(values, node))
        else:
            _count_near(place, thinned(values), sigmoid=operation == "sigmoid")

    def of_round(self) -> list[int]:
        """The nodes whose place in the graph matters: those of sigmoid and tanh in this round."""
        return [p.node for p in self._places.values() if p.round == self.round and p.alive is None]

    def measure(self, inner: set[int]) -> None:
        """Backward begins: bring the numbers over, and remember which units were dead.

        ``inner`` are the nodes (by sequence number) that lie behind weights, seen from the loss.
        """
        numbers: list[Tensor] = []
        places: list[_Place] = []
        for key, place in self._places.items():
            if place.round != self.round:
                continue
            place.inner = place.node in inner
            if place.alive is not None:
                place.units = place.alive.numel()
                pair = self._dead(key, ~place.alive)
            elif place.near is not None and place.slope is not None:
                pair = [place.near / place.calls, place.slope / place.calls]
            else:
                continue
            places.append(place)
            numbers += pair
        if len({number.device for number in numbers}) == 1:
            self._measured.append((places, Fetch(numbers)))

    def _dead(self, key: _Key, dead: Tensor) -> list[Tensor]:
        memory = self._memory.setdefault(key, deque(maxlen=LASTING - 1))
        known = [mask for mask in memory if mask.shape == dead.shape and mask.device == dead.device]
        memory.append(dead)
        if len(known) < LASTING - 1:
            return [dead.sum(), torch.zeros_like(dead.sum())]
        lasting = dead
        for mask in known:
            lasting = lasting & mask
        return [dead.sum(), lasting.sum()]

    def told(self) -> list[UnitsLook]:
        """The places in the order they ran."""
        return [
            _told(place, first, second)
            for places, fetch in self._measured
            for place, first, second in zip(places, fetch.values()[::2], fetch.values()[1::2], strict=True)
        ]


def _told(place: _Place, first: float, second: float) -> UnitsLook:
    rectified = place.units > 0
    return UnitsLook(
        file=place.place[0],
        line=place.place[1],
        operation=place.operation,
        layer=place.layer,
        round=place.round,
        calls=place.calls,
        rows=place.rows,
        elements=place.elements,
        inner=place.inner,
        units=place.units,
        dead=int(first) if rectified else 0,
        lasting=int(second) if rectified else 0,
        saturated=None if rectified else to_number(first),
        slope=None if rectified else to_number(second),
    )


def _unit_dim(values: Tensor, node: Any) -> int:
    """Where the features lie: what made the input of the activation tells."""
    if values.dim() == 2:
        return 1
    before = node.next_functions[0][0] if node is not None and node.next_functions else None
    name = before.name() if before is not None else ""
    if values.dim() == 3 and not any(word in name for word in _BY_CHANNEL):
        return 2
    return 1


def _count_alive(place: _Place, values: Tensor, dim: int) -> None:
    alive = (values != 0).transpose(0, dim).flatten(1).any(1)
    if place.alive is None or place.alive.shape != alive.shape:
        place.alive = alive
    else:
        place.alive = place.alive | alive


def _count_near(place: _Place, values: Tensor, *, sigmoid: bool) -> None:
    real = values.float()
    centred = 2 * real - 1 if sigmoid else real
    near = (centred.abs() > NEAR).float().mean()
    slope = (1 - centred * centred).clamp(min=0).mean()
    place.near = near if place.near is None else place.near + near
    place.slope = slope if place.slope is None else place.slope + slope
