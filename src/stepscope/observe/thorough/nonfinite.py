"""The first operation behind a loss that made a number which is not finite, or a slope that is not.

Read from what the nodes of the graph saved, before backward frees it. Nothing is kept but words.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from stepscope.observe.gauge import looks_plain
from stepscope.observe.looks.graph import name_of, saved

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

#: Nodes that are looked at, and elements of a saved tensor.
MOST_NODES = 10_000
MOST_ELEMENTS = 1 << 24

_MATMULS = frozenset({"AddmmBackward0", "MmBackward0", "BmmBackward0", "ConvolutionBackward0"})
_UNDEFINED = "an operation whose result is not a number"
_INPUTS = ("self", "input", "mat1", "other")


def values_of(node: Any, name: str) -> Tensor | None:
    """What ``node`` saved as ``name``, where its values can be read at once."""
    tensor = saved(node, name)
    if not isinstance(tensor, Tensor) or not looks_plain(tensor) or not tensor.is_cpu or not tensor.numel():
        return None
    return tensor.detach() if tensor.numel() <= MOST_ELEMENTS and tensor.is_floating_point() else None


def _any(flags: Any) -> bool:
    return bool(flags.any())


def _log(node: Any, low: float = 0.0) -> str:
    x = values_of(node, "self")
    if x is None:
        return ""
    least = float(x.min())
    if least < low:
        return "the logarithm of a negative number" if low == 0.0 else "the logarithm of a number below its domain"
    if least == low:
        return "the logarithm of 0"
    return "the slope of a logarithm at almost 0" if least - low < torch.finfo(x.dtype).tiny else ""


def _sqrt(node: Any) -> str:
    y = values_of(node, "result")
    if y is None:
        return ""
    if _any(y.isnan()):
        return "the square root of a negative number"
    return "the slope of a square root at 0" if _any(y == 0) else ""


def _rsqrt(node: Any) -> str:
    y = values_of(node, "result")
    return "one over the square root of 0" if y is not None and not _all_finite(y) else ""


def _reciprocal(node: Any) -> str:
    y = values_of(node, "result")
    return "one divided by 0" if y is not None and not _all_finite(y) else ""


def _div(node: Any) -> str:
    by = values_of(node, "other")
    return "a division by 0" if by is not None and _any(by == 0) else ""


def _pow(node: Any) -> str:
    x, exponent = values_of(node, "self"), getattr(node, "_saved_exponent", None)
    if x is None or not isinstance(exponent, (int, float)):
        return ""
    if exponent != int(exponent) and _any(x < 0):
        return f"a negative number to the power of {exponent:g}"
    if exponent < 0 and _any(x == 0):
        return f"0 to the power of {exponent:g}"
    return f"the slope of a power of {exponent:g} at 0" if 0 < exponent < 1 and _any(x == 0) else ""


def _exp(node: Any) -> str:
    y = values_of(node, "result")
    return "an exponential that overflowed" if y is not None and _any(y.isinf()) else ""


def _softmax(node: Any) -> str:
    y = values_of(node, "result")
    return "a softmax over a row in which everything is masked" if y is not None and _any(y.isnan()) else ""


def _arc(node: Any) -> str:
    x = values_of(node, "self")
    if x is None:
        return ""
    most = float(x.abs().max())
    return "an inverse function outside its domain" if most > 1 else "the slope of an inverse at 1" if most == 1 else ""


def _atan2(node: Any) -> str:
    x, y = values_of(node, "self"), values_of(node, "other")
    if x is None or y is None or x.shape != y.shape:
        return ""
    return "the slope of atan2 at 0" if _any((x == 0) & (y == 0)) else ""


def _all_finite(tensor: Tensor) -> bool:
    return bool(tensor.isfinite().all())


_TESTS: dict[str, Callable[[Any], str]] = {
    "LogBackward0": _log,
    "Log2Backward0": _log,
    "Log10Backward0": _log,
    "Log1PBackward0": lambda node: _log(node, -1.0),
    "Log1pBackward0": lambda node: _log(node, -1.0),
    "SqrtBackward0": _sqrt,
    "RsqrtBackward0": _rsqrt,
    "ReciprocalBackward0": _reciprocal,
    "DivBackward0": _div,
    "PowBackward0": _pow,
    "ExpBackward0": _exp,
    "Expm1Backward0": _exp,
    "SoftmaxBackward0": _softmax,
    "LogSoftmaxBackward0": _softmax,
    "AcosBackward0": _arc,
    "AsinBackward0": _arc,
    "AtanhBackward0": _arc,
    "ErfinvBackward0": _arc,
    "Atan2Backward0": _atan2,
}


def in_order(roots: Iterable[Any]) -> list[Any]:
    """The nodes behind ``roots`` (without leaves), in the order they were made; empty where they are too many."""
    seen: set[Any] = set(roots)
    waiting = list(seen)
    found = []
    while waiting:
        node = waiting.pop()
        if len(seen) > MOST_NODES:
            return []
        if hasattr(node, "variable"):
            continue
        found.append(node)
        for child, _ in node.next_functions:
            if child is not None and child not in seen:
                seen.add(child)
                waiting.append(child)
    return sorted(found, key=lambda node: int(node._sequence_nr()))


def delicate(nodes: list[Any]) -> list[Any]:
    """Those of ``nodes`` that can make what is not finite of what is."""
    return [node for node in nodes if name_of(node) in _TESTS]


def first_singular(nodes: list[Any]) -> tuple[Any, str] | None:
    """The first of ``nodes`` whose result or slope is not finite, and what it is in words."""
    for node in nodes:
        words = _TESTS[name_of(node)](node)
        if words:
            return node, words
    return None


def first_broken(nodes: list[Any]) -> tuple[Any, str, bool] | None:
    """The first node behind a loss that is not finite at which that began, and in what way.

    The last says whether the operation itself cannot be right there (a logarithm of 0), or numbers
    only grew too large; an empty text with a node means that its input came in so.
    """
    for node in nodes:
        name = name_of(node)
        words = _TESTS[name](node) if name in _TESTS else ""
        came_in = _input(node, name)
        if came_in is not None:
            return came_in
        if words and not words.startswith("the slope"):
            return node, words, not words.endswith("overflowed")
        result = values_of(node, "result")
        if result is not None and _any(result.isnan()):
            return node, _UNDEFINED, True
    return None


def _input(node: Any, name: str) -> tuple[Any, str, bool] | None:
    """Where a saved input of ``node`` is not finite already: what made it."""
    for kind in _INPUTS:
        values = values_of(node, kind)
        if values is None:
            continue
        undefined = _any(values.isnan())
        if not undefined and not (name in _MATMULS and _any(values.isinf())):
            continue
        children = [child for child, _ in node.next_functions]
        position = 1 if kind in {"mat1", "other"} else 0  # of addmm the bias comes first
        maker = children[position] if position < len(children) else None
        if maker is None:
            return node, "", True
        if hasattr(maker, "variable"):
            return None
        return maker, _UNDEFINED if undefined else "numbers that grew beyond the largest", undefined
    return None


def is_finite(value: Any) -> bool:
    """Whether a loss is known and finite (one that is unknown counts as finite)."""
    return not isinstance(value, float) or math.isfinite(value)
