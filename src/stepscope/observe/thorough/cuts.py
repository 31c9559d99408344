"""Where the autograd graph ends before it reaches the loss: at an operation whose result has no gradient.

Fed with every operation of an update that is looked at closely. What a cut has cut off are the
parameters behind its input; whether it matters, its result tells: it goes back into the graph, it
leaves torch (``item``, ``numpy``), or it is only looked at. No tensor and no node is kept.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from torch import Tensor

from stepscope.observe.frames import user_line
from stepscope.observe.gauge import first_tensors
from stepscope.record.look import Cut

if TYPE_CHECKING:
    from collections.abc import Callable

    from stepscope.observe.registry import Registry

#: Nodes that one look walks to find out what was cut off.
MOST_WALKED = 40_000
#: Places of one look at which the graph is cut.
MOST_CUTS = 200
#: Walks for one place: a line in a loop over time would walk ever the same graph.
MOST_WALKS = 3
#: Parameters that one cut names.
MOST_NAMED = 200
_LEAVING = frozenset({"item", "numpy", "tolist", "__array__", "__float__", "__int__", "__index__"})
_DATA = Tensor.data.__get__  # type: ignore[attr-defined]
_SET_REQUIRES_GRAD = Tensor.requires_grad.__set__  # type: ignore[attr-defined]
_MADE_LEAVES = frozenset({"requires_grad_", "tensor", "as_tensor"})


@dataclass
class _Cut:
    operation: str
    place: tuple[str, int]
    round: int
    quiet: bool
    leaf: bool = False
    fed: bool = False
    left: bool = False
    walks: int = 0
    parameters: dict[str, None] = field(default_factory=dict)


class Cuts:
    """The cuts of one look."""

    def __init__(self, registry: Registry) -> None:
        """Name parameters as ``registry`` does."""
        self._registry = registry
        self._cuts: dict[tuple[str, int, str], _Cut] = {}
        self._marks: dict[int, tuple[weakref.ref[Tensor], frozenset[int]]] = {}
        self._order: list[_Cut] = []
        self._walked = 0
        self.round = 0

    def saw(self, func: Callable[..., Any], name: str, args: Any, kwargs: Any, result: Any, *, grad: bool) -> None:
        """An operation returned ``result``; ``grad``: gradients were being recorded."""
        if name == "__set__":
            if func == _SET_REQUIRES_GRAD and args[1]:
                self._made_leaf(name, args[0])
            return
        if name in _MADE_LEAVES:
            self._made_leaf(name, result)
        if name == "backward" or (name == "__get__" and func != _DATA):
            return
        inputs = [tensor for _, tensor in first_tensors(*args, **(kwargs or {}))]
        outputs = [tensor for _, tensor in first_tensors(result)]
        marks = frozenset().union(*(self._marked(tensor) for tensor in inputs))
        # What is a view of something with gradients says, even where none are recorded, that it has some, too.
        if any(tensor.requires_grad and (grad or any(tensor is one for one in inputs)) for tensor in outputs):
            for mark in marks:
                self._order[mark].fed = True
        elif outputs or name in _LEAVING:
            live = [tensor for tensor in inputs if tensor.requires_grad]
            self._ended(marks | self._cut(name, live, quiet=not grad), outputs)

    def _ended(self, marks: frozenset[int], outputs: list[Tensor]) -> None:
        """Where the results go on without gradients: as tensors, or out of torch."""
        if not outputs:
            for mark in marks:
                self._order[mark].left = True
        elif marks:
            for tensor in outputs:
                self._marks[id(tensor)] = (weakref.ref(tensor), marks)

    def _marked(self, tensor: Tensor) -> frozenset[int]:
        known = self._marks.get(id(tensor))
        return known[1] if known is not None and known[0]() is tensor else frozenset()

    def _at(self, operation: str, *, quiet: bool) -> int | None:
        file, line = user_line(2)
        if file is None:
            return None
        key = (file, line, operation)
        cut = self._cuts.get(key)
        if cut is None:
            if len(self._order) >= MOST_CUTS:
                return None
            cut = self._cuts[key] = _Cut(operation.strip("_"), (file, line), self.round, quiet)
            self._order.append(cut)
        return self._order.index(cut)

    def _cut(self, name: str, live: list[Tensor], *, quiet: bool) -> frozenset[int]:
        if not live:
            return frozenset()
        operation = "data" if name == "__get__" else name
        at = self._at(operation, quiet=quiet)
        if at is None:
            return frozenset()
        cut = self._order[at]
        if cut.walks < MOST_WALKS and self._walked < MOST_WALKED:
            cut.walks += 1
            for leaf in self._leaves(live):
                entry = self._registry.entry(leaf)
                if entry is not None and len(cut.parameters) < MOST_NAMED:
                    cut.parameters[entry.name] = None
        return frozenset([at])

    def _leaves(self, live: list[Tensor]) -> list[Tensor]:
        leaves = [tensor for tensor in live if tensor.grad_fn is None]
        waiting = [tensor.grad_fn for tensor in live if tensor.grad_fn is not None]
        seen: set[Any] = set(waiting)
        while waiting and self._walked < MOST_WALKED:
            node = waiting.pop()
            self._walked += 1
            variable = getattr(node, "variable", None)
            if isinstance(variable, Tensor):
                leaves.append(variable)
                continue
            for child, _ in node.next_functions:
                if child is not None and child not in seen:
                    seen.add(child)
                    waiting.append(child)
        return leaves

    def _made_leaf(self, name: str, tensor: Any) -> None:
        if isinstance(tensor, Tensor) and tensor.requires_grad and tensor.is_leaf and tensor.numel() == 1:
            at = self._at("requires_grad" if name == "__set__" else name, quiet=False)
            if at is not None:
                self._order[at].leaf = True

    def told(self) -> list[Cut]:
        """The cuts, in the order they were first made."""
        return [
            Cut(
                file=cut.place[0],
                line=cut.place[1],
                operation=cut.operation,
                round=cut.round,
                parameters=list(cut.parameters),
                fed=cut.fed,
                left=cut.left,
                quiet=cut.quiet,
                leaf=cut.leaf,
            )
            for cut in self._order
            if cut.parameters or cut.leaf
        ]
