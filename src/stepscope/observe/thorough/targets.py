"""Targets that move with the network: both sides of a difference come from the same weights.

Seen in the graph before backward: a difference (a subtraction, or a loss of two tensors), one side of
which is the network's output, the other a constant plus a multiple of the same network's output, as
in ``reward + gamma * net(next_state)``. The graph is walked, never run, and no node is kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stepscope.observe.looks.graph import name_of
from stepscope.record.look import MovingTarget

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_DIFFERENCES = frozenset(
    {"SubBackward0", "MseLossBackward0", "SmoothL1LossBackward0", "HuberLossBackward0", "L1LossBackward0"}
)
_FITS = _DIFFERENCES - {"SubBackward0"}
#: Operations that leave a value what it is, but for its shape and a constant factor.
_KEEPS = frozenset(
    f"{name}Backward{number}"
    for name in ("View", "UnsafeView", "ReshapeAlias", "Squeeze", "Unsqueeze", "Clone", "ToCopy", "Neg", "Mul", "Div")
    for number in (0, 1, 2)
)
_MOST_NODES = 4000
_MOST_FOUND = 4


def _is_leaf(node: Any) -> bool:
    return hasattr(node, "variable")


def _children(node: Any) -> list[Any]:
    return [child for child, _ in node.next_functions if child is not None]


def _outer(roots: Sequence[Any]) -> list[Any]:
    """The nodes between the loss and the first operations on weights."""
    seen = set(roots)
    waiting = list(roots)
    found = []
    while waiting and len(seen) < _MOST_NODES:
        node = waiting.pop()
        children = _children(node)
        if _is_leaf(node) or any(_is_leaf(child) for child in children):
            continue
        found.append(node)
        for child in children:
            if child not in seen:
                seen.add(child)
                waiting.append(child)
    return found


def _weights(side: Any) -> dict[int, set[Any]]:
    """The parameters behind a node, by identity, each with the nodes that use it."""
    seen = {side}
    waiting = [side]
    found: dict[int, set[Any]] = {}
    while waiting and len(seen) < _MOST_NODES:
        node = waiting.pop()
        for child in _children(node):
            if _is_leaf(child):
                found.setdefault(id(child.variable), set()).add(node)
            elif child not in seen:
                seen.add(child)
                waiting.append(child)
    return found


def _used_twice(one: Any, other: Any) -> int:
    """How many parameters lie behind both nodes, by way of different calls of their network."""
    here, there = _weights(one), _weights(other)
    return sum(not here[key] & there[key] for key in here.keys() & there.keys())


def _constant_plus_multiple(side: Any) -> Any:
    """The addition of a constant to a multiple of something, on the way from ``side`` to the weights."""
    for node in _outer([side]):
        if name_of(node) != "AddBackward0" or all(child is not None for child, _ in node.next_functions):
            continue
        for below in _outer(_children(node)):
            if name_of(below) == "MulBackward0" and any(child is None for child, _ in below.next_functions):
                return node
    return None


def _origin(node: Any) -> Any:
    """The node that made the value which ``node`` only reshapes or scales."""
    while name_of(node) in _KEEPS and len(_children(node)) == 1 and not _is_leaf(_children(node)[0]):
        node = _children(node)[0]
    return node


def _fitted(nodes: Sequence[Any]) -> set[Any]:
    """What the loss fits to constants: the predictions, or the differences that it squares."""
    found = set()
    for node in nodes:
        sides, name = _children(node), name_of(node)
        squared = name == "PowBackward0" or (name == "MulBackward0" and len(sides) == 2 and sides[0] is sides[1])
        if squared or (name in _FITS and len(sides) == 1):
            found.add(_origin(sides[0]))
    return found


def _moving_factors(
    nodes: Sequence[Any], round_: int, place_of: Callable[[int], tuple[str | None, int]]
) -> list[MovingTarget]:
    """Fitted differences that multiply something else."""
    fitted = _fitted(nodes)
    found: list[MovingTarget] = []
    for node in nodes if fitted else ():
        sides = _children(node)
        if name_of(node) != "MulBackward0" or len(sides) != 2 or len(found) >= _MOST_FOUND:
            continue
        origins = [_origin(side) for side in sides]
        for one, other in (origins, origins[::-1]):
            below = _children(one)
            if name_of(one) != "SubBackward0" or len(below) != 1 or _is_leaf(below[0]) or one is other:
                continue
            file, line = place_of(one._sequence_nr())
            if file is not None and not fitted.isdisjoint({one, _origin(below[0])}):
                behind = len(_weights(below[0]))
                found.append(
                    MovingTarget(file=file, line=line, difference=name_of(node), round=round_, parameters=behind)
                )
    return found


def moving_targets(
    roots: Sequence[Any], round_: int, place_of: Callable[[int], tuple[str | None, int]]
) -> list[MovingTarget]:
    """What of it lies between the loss and the network."""
    outer = _outer(roots)
    found: list[MovingTarget] = _moving_factors(outer, round_, place_of)
    for node in outer:
        sides = _children(node)
        if name_of(node) not in _DIFFERENCES or len(sides) != 2 or len(found) >= _MOST_FOUND:
            continue
        sums = [_constant_plus_multiple(side) for side in sides]
        if (sums[0] is None) == (sums[1] is None):
            continue
        target = sums[0] or sums[1]
        other = sides[1] if sums[0] is not None else sides[0]
        shared = _used_twice(target, other)
        file, line = place_of(target._sequence_nr())
        if shared and file is not None:
            found.append(MovingTarget(file=file, line=line, difference=name_of(node), round=round_, parameters=shared))
    return found
