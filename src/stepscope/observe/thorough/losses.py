"""Reading what a loss function was given, for the rules about losses.

Measured where the tensors lie, in the close looks of a thorough watch only; the numbers are told
later. Integer inputs of the round are held until its backward begins, and nothing else.
"""

from __future__ import annotations

from math import isnan
from typing import TYPE_CHECKING, Any

import msgspec
import torch
from torch import Tensor, nn

from stepscope.observe.gauge import MOST_ELEMENTS, Fetch, first_tensors, looks_plain
from stepscope.observe.looks import graph
from stepscope.record.lossfacts import Behind, LossFacts, Normalised, Padding, Rows
from stepscope.record.numbers import to_number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from stepscope.observe.looks.graph import Span

    PlaceOf = Callable[[int], tuple[str | None, int]]

#: Nodes that only show, cast, move or pick what another one made. Of several operands the first is followed.
_PASSES = frozenset(
    f"{name}Backward{number}"
    for name in (
        *("View", "UnsafeView", "ReshapeAlias", "Reshape", "Permute", "Transpose", "T", "Squeeze", "Unsqueeze"),
        *("Select", "Slice", "Index", "IndexSelect", "Gather", "MaskedSelect", "ToCopy", "Clone", "Alias", "Expand"),
        *("Cat", "Stack", "Clamp", "ClampMin", "ClampMax", "MvView", "Split", "SplitWithSizes", "Unbind", "Chunk"),
        *("Unflatten", "Movedim", "Contiguous", "Copy", "AsStrided", "Detach", "Narrow", "NanToNum", "Take"),
    )
    for number in (0, 1, 2, 3)
)
_REORDERS = ("Permute", "Transpose", "T", "Movedim", "AsStrided")
_OVER_A_DIM = ("SoftmaxBackward", "SafeSoftmaxBackward", "LogSoftmaxBackward", "LogsumexpBackward")
#: How far a chain is followed: nodes that count, nodes in all.
_MOST_BEHIND, _MOST_STEPS = 4, 32
_MOST_INPUTS = 4
_MOST_NORMALISED = 64
_WITH_CLASSES = frozenset({"cross_entropy", "nll_loss", "kl_div"})
_UNSIGNED = 1 << 63


class Inputs:
    """What the models of the round were given."""

    def __init__(self) -> None:
        """Nothing so far."""
        self.integers: dict[int, Tensor] = {}
        self.embedded: dict[int, set[int]] = {}  # by identity, with the ids that are padding
        self.varies: list[Tensor] = []

    def called(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """A model was called."""
        for _, tensor in first_tensors(*args, **kwargs):
            if looks_plain(tensor) and tensor.dim() and len(self.varies) < _MOST_INPUTS:
                spread = _range_over_batch(tensor)
                if spread is not None:
                    self.varies.append(spread)
            self._keep(tensor)

    def layer(self, module: nn.Module, args: tuple[Any, ...]) -> None:
        """A layer was called: embeddings tell what is padding."""
        if isinstance(module, nn.Embedding) and args and isinstance(args[0], Tensor):
            self._keep(args[0])
            if id(args[0]) in self.integers:
                padding = self.embedded.setdefault(id(args[0]), set())
                padding.update(() if module.padding_idx is None else (int(module.padding_idx),))

    def _keep(self, tensor: Tensor) -> None:
        plain = looks_plain(tensor) and not tensor.is_floating_point() and not tensor.is_complex()
        if plain and tensor.dim() == 2 and tensor.dtype != torch.bool and len(self.integers) < _MOST_INPUTS:
            self.integers[id(tensor)] = tensor

    def clear(self) -> None:
        """The round ended."""
        self.integers.clear()
        self.embedded.clear()
        self.varies.clear()


class Facts:
    """Facts of one call of a loss function; numbers may still be on a device until :meth:`told`."""

    def __init__(
        self, function: str, prediction: Any, target: Any, ignored: int, inputs: Inputs, place_of: PlaceOf
    ) -> None:
        """Measure now."""
        self._keys: list[str] = []
        self._numbers: list[Tensor] = []
        self._fixed: dict[str, Any] = {}
        self._rows: dict[str, list[tuple[int, int]]] = {"rows": [], "target_rows": []}
        self._paddings: list[set[int]] = []
        self._copies = 0
        if isinstance(prediction, Tensor):
            way = _behind(prediction, place_of)
            self._fixed = {
                "behind": way.nodes,
                "reordered": way.reordered,
                "clamped": way.clamped,
                "shapes": way.shapes,
                "prediction_grad": prediction.requires_grad,
                "given": _given(prediction),
            }
            self._measure_prediction(function, prediction)
        if isinstance(target, Tensor):
            self._fixed["target_grad"] = target.requires_grad
            self._fixed["target_given"] = _given(target)
            self._fixed["target_behind"] = _behind(target, place_of).nodes
            self._measure_target(function, target, ignored, inputs)
        for number, spread in enumerate(inputs.varies):
            self._put(f"input_varies {number}", spread)
        self._fetch = Fetch(self._numbers)
        self._numbers = []

    def _put(self, key: str, number: Tensor) -> None:
        if not self._numbers or number.device == self._numbers[0].device:
            self._keys.append(key)
            self._numbers.append(number)

    def _measure_prediction(self, function: str, prediction: Tensor) -> None:
        if not looks_plain(prediction) or not prediction.numel():
            return
        prediction = prediction.detach()
        spread = _range_over_batch(prediction)
        if spread is not None:
            self._put("varies", spread)
        if function in _WITH_CLASSES:
            self._measure_rows("rows", prediction, function)

    def _measure_target(self, function: str, target: Tensor, ignored: int, inputs: Inputs) -> None:
        if not looks_plain(target) or not target.numel():
            return
        target = target.detach()
        spread = _range_over_batch(target)
        if spread is not None:
            self._put("target_varies", spread)
        if target.is_floating_point():
            if function in _WITH_CLASSES:
                self._measure_rows("target_rows", target, function)
            return
        for given in inputs.integers.values():
            if given.device == target.device and min(given.shape) > 1:
                self._compare_whole(given, target, ignored, inputs.embedded.get(id(given)))

    def _compare_whole(self, given: Tensor, target: Tensor, ignored: int, embedded: set[int] | None) -> None:
        """Compare with an integer input whose rows, or whose columns, are sequences."""
        ways = ((given, target), (given.T, target.T)) if target.dim() == 2 else ((given, target),)  # or flattened
        for rows, by in ways:
            if by.numel() == rows.numel():
                self._compare(rows, by.reshape(rows.shape), ignored, embedded)
            elif by.numel() == rows[:, 1:].numel():  # of the last position nothing is wanted
                self._compare(rows[:, :-1], by.reshape(rows[:, 1:].shape), ignored, embedded)

    def _measure_rows(self, key: str, tensor: Tensor, function: str) -> None:
        class_dim = 1 if tensor.dim() > 1 else 0
        dims = {class_dim} if function != "kl_div" else {class_dim, tensor.dim() - 1}
        real = _first_rows(tensor).float()
        for dim in sorted(dims):
            if dim < 0 or dim >= real.dim():
                continue
            number = len(self._rows[key])
            self._rows[key].append((dim, tensor.shape[dim]))
            sums, exponentials = real.sum(dim), torch.logsumexp(real, dim)
            for name, found in zip(("low", "high"), torch.aminmax(sums), strict=True):
                self._put(f"{key} {number} {name}", found)
            for name, found in zip(("exp_low", "exp_high"), torch.aminmax(exponentials), strict=True):
                self._put(f"{key} {number} {name}", found.exp())

    def _compare(self, given: Tensor, rows: Tensor, ignored: int, embedded: set[int] | None) -> None:
        """How the targets lie against an integer input, row by row."""
        counted = rows != ignored
        number = self._copies
        self._copies += 1
        if embedded is not None:  # a model may be given its targets, too: what it computes with counts
            self._put(f"copied {number}", ((rows == given) & counted).sum() / counted.sum())
        if embedded is not None and given.shape[1] > 1:
            later, there = given[:, 1:], counted[:, :-1]
            self._put(f"shifted {number}", ((rows[:, :-1] == later) & there).sum() / there.sum())
        padding = torch.mode(given[:, -1]).values
        is_padding = given == padding
        tail = is_padding.flip(1).cumprod(1).flip(1).bool()
        lengths = tail.sum(1)
        outside = torch.iinfo(torch.int32).max
        there = rows.to(torch.int64)
        number = len(self._paddings)
        self._paddings.append(embedded or set())
        for name, found in {
            "id": padding,
            "share": tail.float().mean(),
            "inside": (is_padding & ~tail).float().mean(),
            "shortest": lengths.min(),
            "longest": lengths.max(),
            "low": torch.where(tail, there, outside).min(),
            "high": torch.where(tail, there, -outside).max(),
            "counted": (counted & tail).sum() / tail.sum().clamp(min=1),
        }.items():
            self._put(f"padding {number} {name}", found)

    def told(self) -> LossFacts:
        """The facts, in numbers."""
        values = dict(zip(self._keys, self._fetch.values(), strict=True))
        changes: dict[str, Any] = dict(self._fixed)
        for key, dims in self._rows.items():
            changes[key] = [
                Rows(dim, size, *(to_number(values[f"{key} {number} {name}"]) for name in _ROW_SUMS))
                for number, (dim, size) in enumerate(dims)
                if f"{key} {number} exp_high" in values
            ]
        for key in ("varies", "target_varies"):
            if key in values:
                changes[key] = to_number(values[key])
        for key in ("input_varies", "copied", "shifted"):
            several = [value for name, value in values.items() if name.startswith(f"{key} ") and not isnan(value)]
            if several:
                changes[key] = to_number(max(several))
        changes["padding"] = self._padding(values)
        return LossFacts(**changes)

    def _padding(self, values: dict[str, float]) -> Padding | None:
        found = []
        for number, known in enumerate(self._paddings):
            here = {name: values.get(f"padding {number} {name}") for name in _PADDING}
            if any(value is None or isnan(value) for value in here.values()):
                continue
            whole: dict[str, Any] = {name: int(here[name] or 0) for name in ("id", "shortest", "longest")}
            parts: dict[str, Any] = {name: here[name] for name in ("share", "inside", "low", "high", "counted")}
            found.append(Padding(**whole, **parts, declared=whole["id"] in known))
        return max(found, key=lambda one: (one.declared, not one.inside, float(one.share)), default=None)


_ROW_SUMS = ("low", "high", "exp_low", "exp_high")
_PADDING = ("id", "share", "inside", "shortest", "longest", "low", "high", "counted")


def _range_over_batch(tensor: Tensor) -> Tensor | None:
    """The widest range of one output over the first dimension; None where there is only one sample."""
    if not tensor.numel() or tensor.dim() == 0 or tensor.shape[0] < 2 or tensor.is_complex():
        return None
    tensor = _first_rows(tensor.detach())
    if tensor.dtype == torch.bool:
        tensor = tensor.byte()
    low, high = torch.aminmax(tensor, dim=0)
    return (high.double() - low.double()).max()


def _first_rows(tensor: Tensor) -> Tensor:
    """As many of the first samples as may be measured."""
    if tensor.dim() < 2 or tensor.numel() <= MOST_ELEMENTS:
        return tensor
    return tensor[: max(2, MOST_ELEMENTS * tensor.shape[0] // tensor.numel())]


def _given(tensor: Tensor) -> list[int]:
    """The shape that a tensor had before it was expanded: 1 where it only repeats itself."""
    if not looks_plain(tensor):
        return []
    return [1 if stride == 0 else size for size, stride in zip(tensor.shape, tensor.stride(), strict=True)]


class _Way:
    """The way from a tensor back through the graph, to the nodes that made its numbers."""

    def __init__(self) -> None:
        self.nodes: list[Behind] = []
        self.shapes: list[list[int]] = []
        self.reordered = self.clamped = False


def _behind(tensor: Tensor, place_of: PlaceOf) -> _Way:
    way = _Way()
    node = tensor.grad_fn
    for _ in range(_MOST_STEPS):
        if node is None or len(way.nodes) == _MOST_BEHIND or hasattr(node, "variable"):
            break
        name = graph.name_of(node)
        shape = _shape_of(node)
        if name not in _PASSES:
            way.nodes.append(_node(node, name, shape, place_of))
        elif not way.nodes:
            way.reordered = way.reordered or name.rstrip("0123").removesuffix("Backward") in _REORDERS
            way.clamped = way.clamped or name.startswith("Clamp")
            way.shapes.append(shape)
        node = next((child for child, _ in node.next_functions if child is not None), None)
    return way


def _node(node: Any, name: str, shape: list[int], place_of: PlaceOf) -> Behind:
    file, line = place_of(node._sequence_nr())
    return Behind(
        operation=name.rstrip("0123").removesuffix("Backward"),
        shape=shape,
        dim=_dim(node, name, shape),
        file=file,
        line=line,
    )


def _shape_of(node: Any) -> list[int]:
    try:
        return [int(size) for size in node._input_metadata[0].shape]
    except (AttributeError, IndexError, RuntimeError, TypeError):  # nested or symbolic sizes; a node of the user's own
        return []


def _dim(node: Any, name: str, shape: list[int]) -> int | None:
    """The dimension that a softmax (or sum of exponentials) ran over, from 0."""
    if not name.startswith(_OVER_A_DIM):
        return None
    dim = getattr(node, "_saved_dim", None)
    if isinstance(dim, (tuple, list)):
        dim = dim[0] if len(dim) == 1 else None
    if not isinstance(dim, int):
        return None
    dim = dim - 2 * _UNSIGNED if dim >= _UNSIGNED else dim
    keeps = not name.startswith("Logsumexp")
    return dim % len(shape) if dim < 0 and keeps and shape else dim


def normalised(
    nodes: Iterator[Any], layer_of: Callable[[int], int], round_: int, place_of: PlaceOf
) -> list[Normalised]:
    """The softmaxes among the ``nodes`` of a graph, those of one line and shape told once."""
    found: dict[tuple[Any, ...], Normalised] = {}
    for node in nodes:
        name = graph.name_of(node)
        attends = name.startswith(("ScaledDotProduct", "EfficientAttention", "FlashAttention"))
        if not attends and not name.startswith(_OVER_A_DIM):
            continue
        shape = _shape_of(node)
        made = _node(node, name, shape, place_of)
        layer = layer_of(node._sequence_nr())
        key = (made.operation, tuple(shape), made.dim, made.file, made.line, layer if made.file is None else 0)
        known = found.get(key)
        if known is not None:
            found[key] = msgspec.structs.replace(known, count=known.count + 1)
        elif len(found) < _MOST_NORMALISED:
            found[key] = Normalised(
                round=round_,
                operation=made.operation,
                shape=shape,
                dim=made.dim,
                layer=layer,
                file=made.file,
                line=made.line,
                causal=_is_causal(node),
                behind=_before(node, place_of),
            )
    return list(found.values())


def _before(node: Any, place_of: PlaceOf) -> Behind | None:
    """The first node that made numbers behind ``node``."""
    for _ in range(_MOST_STEPS):
        node = next((child for child, _ in node.next_functions if child is not None), None)
        if node is None or hasattr(node, "variable"):
            return None
        name = graph.name_of(node)
        if name not in _PASSES:
            return _node(node, name, _shape_of(node), place_of)
    return None


def _is_causal(node: Any) -> bool:
    """Whether an attention is masked so that no position sees a later one."""
    if getattr(node, "_saved_is_causal", False):
        return True
    for name in ("result", "attn_mask", "attn_bias"):
        weights = graph.saved(node, name)
        if not isinstance(weights, Tensor) or not looks_plain(weights) or weights.dim() < 2:
            continue
        size = weights.shape[-1]
        if size < 2 or weights.shape[-2] != size or not weights.is_cpu:
            continue
        first = weights.detach().reshape(-1, size, size)[0]
        later = first[0, 1:]  # what the first position sees of the others
        if first.dtype == torch.bool or name == "result":
            hidden = not bool(later.any())
        else:
            hidden = bool((later < -1e3).all())
        last = first[-1, :-1]
        seen = bool(last.any()) if first.dtype == torch.bool or name == "result" else bool((last > -1e3).any())
        if hidden and seen:
            return True
    return False


def numbers_of(nodes: Iterator[Any]) -> set[int]:
    """The sequence numbers of nodes."""
    return {node._sequence_nr() for node in nodes}


def spans_to_layer(spans: list[Span]) -> Callable[[int], int]:
    """By sequence number, the innermost module call."""
    starts = [span.start for span in spans]
    return lambda number: graph.layer_of(number, starts, spans)
