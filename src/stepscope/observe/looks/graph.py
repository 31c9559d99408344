"""Reading the autograd graph behind a loss, before backward frees it.

The graph is walked, never run. Saved tensors are read only where no hook would run the user's
code to bring them back (checkpointing, ``save_on_cpu``). No node is kept.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from torch import Tensor

from stepscope.observe.gauge import looks_plain
from stepscope.record.look import GraphLook, GraphNode

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

#: A walk gives up after this many nodes, and says so.
MOST_NODES = 100_000
#: How far behind the root a loss function is looked for.
LOSS_DEPTH = 200

#: Node -> loss function, as torch.nn.functional calls it.
LOSS_NODES = {
    "NllLossBackward0": "nll_loss",
    "NllLoss2DBackward0": "nll_loss",
    "MseLossBackward0": "mse_loss",
    "L1LossBackward0": "l1_loss",
    "SmoothL1LossBackward0": "smooth_l1_loss",
    "HuberLossBackward0": "huber_loss",
    "BinaryCrossEntropyBackward0": "binary_cross_entropy",
    "BinaryCrossEntropyWithLogitsBackward0": "binary_cross_entropy_with_logits",
    "KlDivBackward0": "kl_div",
    "SoftMarginLossBackward0": "soft_margin_loss",
    "MultiMarginLossBackward0": "multi_margin_loss",
}
REDUCTIONS = {0: "none", 1: "mean", 2: "sum"}
#: Nodes and the operands that they turn round.
_NEGATED = {("NegBackward0", 0), ("SubBackward0", 1), ("RsubBackward0", 0), ("RsubBackward1", 0)}
#: Nodes that build and run a graph of their own in backward: what lies behind it cannot be walked.
_OPAQUE = frozenset({"CheckpointFunctionBackward"})


def name_of(node: Any) -> str:
    """The node's name without namespaces."""
    return str(node.name()).rpartition("::")[2]


def saved(node: Any, name: str) -> Any:
    """What ``node`` saved as ``name``; None where there is none or reading it would run a hook."""
    raw = getattr(node, f"_raw_saved_{name}", None)
    if raw is None or getattr(raw, "unpack_hook", None) is not None:
        return None
    try:
        return getattr(node, f"_saved_{name}")
    except RuntimeError:  # freed, or changed in place since: torch refuses, and so do we
        return None


@dataclass
class FoundLoss:
    """A loss function found behind the root of a backward."""

    node: Any
    function: str | None
    operations: list[str] = field(default_factory=list)
    factor: float = 1.0
    reduction: str | None = None


def find_losses(roots: Sequence[Any], known: set[int]) -> list[FoundLoss]:
    """The loss functions nearest to ``roots``; ``known`` are sequence numbers of noted losses."""
    found: list[FoundLoss] = []
    waiting: list[tuple[Any, list[str], float]] = [(root, [], 1.0) for root in roots]
    seen = set(roots)
    visited = 0
    while waiting and visited < LOSS_DEPTH and len(found) < 8:
        node, operations, factor = waiting.pop(0)
        visited += 1
        name = name_of(node)
        function = LOSS_NODES.get(name)
        if function is not None or node._sequence_nr() in known:
            found.append(FoundLoss(node, function, operations, factor, _reduction(node)))
            continue
        for position, (child, _) in enumerate(node.next_functions):
            if child is not None and child not in seen:
                seen.add(child)
                waiting.append((child, [*operations, name], factor * _scalar_factor(node, name, position)))
    return found


def _reduction(node: Any) -> str | None:
    return REDUCTIONS.get(getattr(node, "_saved_reduction", -1))


def _scalar_factor(node: Any, name: str, position: int) -> float:
    """By what plain number ``node`` multiplies its operand number ``position``; 1 where that is not known."""
    if (name, position) in _NEGATED:
        return -1.0
    if name not in {"MulBackward0", "DivBackward0"} or (name == "DivBackward0" and position == 1):
        return 1.0
    other = saved(node, "self" if position == 1 else "other")
    if not isinstance(other, Tensor) or other.dim() or other.requires_grad or not other.is_cpu:
        return 1.0
    value = float(other)
    if name == "MulBackward0":
        return value
    return 1.0 / value if value else 1.0


def leaves_of(roots: Sequence[Any]) -> Iterator[Tensor]:
    """The leaf tensors into which a backward from ``roots`` would add gradients."""
    for node in walk(roots):
        variable = getattr(node, "variable", None)
        if isinstance(variable, Tensor):
            yield variable


def walk(roots: Sequence[Any]) -> Iterator[Any]:
    """The nodes behind ``roots``, at most :data:`MOST_NODES`."""
    seen = set(roots)
    waiting = list(roots)
    while waiting and len(seen) < MOST_NODES:
        node = waiting.pop()
        yield node
        for child, _ in node.next_functions:
            if child is not None and child not in seen:
                seen.add(child)
                waiting.append(child)


@dataclass
class Span:
    """The sequence numbers that one module call covered; ``parent`` is its caller's position."""

    start: int
    end: int
    parent: int


def fold(roots: Sequence[Any], spans: list[Span], round_: int) -> tuple[GraphLook, list[Tensor]]:
    """Fold the graph behind ``roots`` to module calls; also return the leaves it reaches."""
    starts = [span.start for span in spans]
    nodes: dict[int, list[str]] = {}
    edges: set[tuple[int, int]] = set()
    leaves: list[Tensor] = []
    owner: dict[Any, int] = {}
    count = 0
    hidden = False
    for node in walk(roots):
        count += 1
        variable = getattr(node, "variable", None)
        if isinstance(variable, Tensor):
            leaves.append(variable)
            continue
        mine = owner.get(node)
        if mine is None:
            mine = owner[node] = layer_of(node._sequence_nr(), starts, spans)
        name = name_of(node)
        hidden = hidden or name in _OPAQUE
        nodes.setdefault(mine, []).append(name)
        for child, _ in node.next_functions:
            if child is None or hasattr(child, "variable"):
                continue
            theirs = owner.get(child)
            if theirs is None:
                theirs = owner[child] = layer_of(child._sequence_nr(), starts, spans)
            if theirs != mine:
                edges.add((mine, theirs))
    place = {layer: position for position, layer in enumerate(nodes)}
    look = GraphLook(
        round=round_,
        operations=count,
        nodes=[GraphNode(layer, names) for layer, names in nodes.items()],
        edges=sorted((place[a], place[b]) for a, b in edges if a in place and b in place),
        complete=count < MOST_NODES and not hidden,
    )
    return look, leaves


def layer_of(number: int, starts: list[int], spans: list[Span]) -> int:
    """The innermost module call during which the node with this sequence number was made."""
    position = bisect_right(starts, number) - 1
    while position >= 0 and number >= spans[position].end:
        position = spans[position].parent
    return position


@dataclass
class Answers:
    """How many targets a prediction has right, as numbers that may still be on a device."""

    right: Tensor
    of: Tensor | int


def answers(function: str, prediction: Any, target: Any, ignore_index: int = -100) -> Answers | None:
    """Compare a prediction with its targets, where the loss function tells how."""
    if not looks_plain(prediction) or not looks_plain(target):
        return None
    prediction, target = prediction.detach(), target.detach()
    if function in {"cross_entropy", "nll_loss"}:
        return _classes(prediction, target, ignore_index)
    if function.startswith("binary_cross_entropy") and prediction.shape == target.shape:
        threshold = 0.0 if function.endswith("logits") else 0.5
        return Answers(((prediction > threshold) == (target > 0.5)).sum(), target.numel())
    return None


def _classes(prediction: Tensor, target: Tensor, ignore_index: int) -> Answers | None:
    dim = 1 if prediction.dim() > 1 else 0
    if not prediction.numel():
        return None
    chosen = prediction.argmax(dim)
    if target.is_floating_point():
        if target.shape != prediction.shape:
            return None
        return Answers((chosen == target.argmax(dim)).sum(), chosen.numel())
    if chosen.shape != target.shape:
        return None
    right = chosen == target
    counted = target != ignore_index
    if ignore_index >= 0:
        right &= counted
    return Answers(right.sum(), counted.sum())
