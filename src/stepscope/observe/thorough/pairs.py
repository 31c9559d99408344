"""Operations on a column (N, 1) and a row (N,) that quietly give all N x N pairs.

Seen while operations are listened to. What becomes of the pairs is followed by the identity of
the tensors, held weakly: whether they are bent (squared, multiplied, ...) before they are reduced,
and whether they meet other N x N tensors, as where pairs are what somebody wants.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from stepscope.observe.gauge import Fetch, looks_plain
from stepscope.observe.looks.graph import name_of
from stepscope.record.lossfacts import AllPairs
from stepscope.record.numbers import to_number

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_MOST_PAIRS = 32
_MOST_FOLLOWED = 256
#: Under these a mean over all pairs is what it is without them.
_STRAIGHT = frozenset(
    {
        "add",
        "sub",
        "subtract",
        "rsub",
        "neg",
        "negative",
        "mean",
        "sum",
        "__add__",
        "__sub__",
        "__radd__",
        "__rsub__",
        "__neg__",
        "__iadd__",
        "__isub__",
        "clone",
        "to",
        "float",
        "double",
        "half",
        "view",
        "reshape",
        "flatten",
        "ravel",
        "squeeze",
        "unsqueeze",
        "contiguous",
        "permute",
        "transpose",
        "t",
        "nanmean",
    }
)
_SCALES = frozenset(
    {
        "mul",
        "div",
        "multiply",
        "divide",
        "true_divide",
        "__mul__",
        "__rmul__",
        "__truediv__",
        "__imul__",
        "__itruediv__",
    }
)
_NO_MATTER = frozenset({"detach", "item", "tolist", "numpy", "backward", "register_hook", "retain_grad", "cpu", "cuda"})
_VIEWS = ("View", "Unsqueeze", "Reshape", "UnsafeView", "Expand")


class Pair:
    """One operation that gave all pairs."""

    def __init__(self, name: str, column: Tensor, row: Tensor, result: Tensor, place: tuple[str | None, int]) -> None:
        """Note it."""
        self.name = name.strip("_")
        self.column, self.row = list(column.shape), list(row.shape)
        self.place = place
        node = result.grad_fn
        self.number = node._sequence_nr() if node is not None else -1
        self.paired = _is_meant(name, column, row)
        self.bends: list[tuple[int, str]] = []
        self.sums: list[int] = []
        if name not in _STRAIGHT:
            self.bends.append((self.number, self.name))
        self._mean = Fetch([row.detach().double().mean()]) if looks_plain(row) and not row.is_complex() else None

    def told(self, round_: int, reached: set[int]) -> AllPairs:
        """What is known of it in the end, ``reached`` being what the loss reaches."""
        bends = [name for number, name in self.bends if number in reached]
        return AllPairs(
            round=round_,
            operation=self.name,
            column=self.column,
            row=self.row,
            file=self.place[0],
            line=self.place[1],
            paired=self.paired,
            bent=bool(bends),
            by=bends[0] if bends else "",
            summed=any(number in reached for number in self.sums),
            row_mean=to_number(self._mean.values()[0]) if self._mean is not None else None,
        )


class Pairs:
    """Follows what operations make of columns and rows."""

    def __init__(self, place: Callable[[], tuple[str | None, int]]) -> None:
        """Ask ``place`` for the user's line."""
        self._place = place
        self._followed: dict[int, tuple[weakref.ref[Tensor], list[Pair]]] = {}
        self.found: list[Pair] = []

    def see(self, name: str, args: Sequence[Any], kwargs: Mapping[str, Any] | None, result: Any) -> None:
        """An operation ran."""
        operands = [value for value in (*args, *(kwargs or {}).values()) if isinstance(value, Tensor)]
        if self._followed and operands:
            self._follow(name, operands, result)
        if len(operands) < 2 or not isinstance(result, Tensor) or not result.requires_grad:
            return
        column, row = operands[0], operands[1]
        if column.dim() < row.dim():
            column, row = row, column
        if column.dim() != row.dim() + 1 or column.shape[-1] != 1 or row.numel() < 2 or column.shape[:-1] != row.shape:
            return
        is_loss = name.endswith("_loss") and result.dim() == 0
        if (result.numel() > row.numel() or is_loss) and len(self.found) < _MOST_PAIRS:
            pair = Pair(name, column, row, result, self._place())
            self.found.append(pair)
            self._mark(result, [pair])

    def _follow(self, name: str, operands: list[Tensor], result: Any) -> None:
        marked = {id(operand): self._pairs_of(operand) for operand in operands}
        pairs = list(dict.fromkeys(pair for found in marked.values() for pair in found))
        if not pairs or name in _NO_MATTER or not isinstance(result, Tensor):
            return
        number = result.grad_fn._sequence_nr() if result.grad_fn is not None else -1
        whole = max(operand.numel() for operand in operands if marked[id(operand)])
        for operand in operands:
            if not marked[id(operand)] and operand.numel() == whole and operand.dim() > 1:
                for pair in pairs:
                    pair.paired = True  # it met another matrix of pairs
        straight = name in _STRAIGHT or (name in _SCALES and _by_numbers(operands, marked))
        for pair in pairs:
            if not straight:
                pair.bends.append((number, name.strip("_")))
            if name == "sum":
                pair.sums.append(number)
            if name in {"matmul", "mm", "bmm", "einsum", "__matmul__"}:
                pair.paired = True
        if result.numel() >= whole:
            self._mark(result, pairs)

    def _pairs_of(self, tensor: Tensor) -> list[Pair]:
        known = self._followed.get(id(tensor))
        return known[1] if known is not None and known[0]() is tensor else []

    def _mark(self, tensor: Tensor, pairs: list[Pair]) -> None:
        if len(self._followed) < _MOST_FOLLOWED:
            self._followed[id(tensor)] = (weakref.ref(tensor), pairs)


def _by_numbers(operands: list[Tensor], marked: dict[int, list[Pair]]) -> bool:
    """Whether all that a matrix of pairs is scaled by are plain numbers."""
    return sum(bool(marked[id(operand)]) for operand in operands) == 1 and all(
        operand.numel() == 1 and not operand.requires_grad for operand in operands if not marked[id(operand)]
    )


def _is_meant(name: str, column: Tensor, row: Tensor) -> bool:
    """Whether the pairs look deliberate: of one tensor with itself, or with a parameter of the model."""
    if isinstance(row, nn.Parameter) or isinstance(column, nn.Parameter):
        return True
    if looks_plain(row) and looks_plain(column) and row.data_ptr() == column.data_ptr():
        return True
    if name.endswith("_loss") and not (row.requires_grad and column.requires_grad):
        return False  # nobody hands pairs of predictions and targets to a loss function
    return _is_dimension_added(column, row)


def _is_dimension_added(column: Tensor, row: Tensor) -> bool:
    """Whether the column looks like a row that somebody turned on purpose."""
    node = column.grad_fn
    if node is not None:
        child = node.next_functions[0][0] if node.next_functions else None
        return name_of(node).startswith(_VIEWS) and child is not None and _shape(child) == list(row.shape)
    base = column._base
    turned = base is not None and base.shape == row.shape
    return turned and not (row.grad_fn is not None and _is_flattened(row, column))


def _is_flattened(row: Tensor, column: Tensor) -> bool:
    """Whether the row is a column that lost its dimension."""
    node = row.grad_fn
    if node is None or not node.next_functions or node.next_functions[0][0] is None:
        return False
    return _shape(node.next_functions[0][0]) == list(column.shape)


def _shape(node: Any) -> list[int]:
    try:
        return [int(size) for size in node._input_metadata[0].shape]
    except (AttributeError, IndexError, RuntimeError, TypeError):
        return []
