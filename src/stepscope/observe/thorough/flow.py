"""What of the flow through the network a thorough look notes: cuts in the graph, and units that no longer answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stepscope.observe.gauge import first_tensors
from stepscope.observe.thorough.cuts import Cuts
from stepscope.observe.thorough.targets import moving_targets
from stepscope.observe.thorough.units import Units

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from stepscope.observe.registry import Registry
    from stepscope.observe.thorough.units import Memory
    from stepscope.record.look import MovingTarget

_MOST_NODES = 20_000


class Flow:
    """What one look notes of it."""

    def __init__(self, registry: Registry, memory: Memory) -> None:
        """Begin with a round of which nothing has been seen."""
        self.cuts = Cuts(registry)
        self.units = Units(memory)
        self.moving_targets: list[MovingTarget] = []
        self._outputs: set[int] = set()

    def saw(self, func: Callable[..., Any], name: str, args: Any, kwargs: Any, result: Any, *, grad: bool) -> None:
        """An operation of the user's returned ``result``; ``grad``: gradients were being recorded."""
        self.cuts.saw(func, name, args, kwargs, result, grad=grad)
        self.units.saw(name, result)

    def layer_ended(self, index: int, path: str, returned: Any) -> None:
        """A layer returned; ``returned``: to user code (what the model puts out is no hidden activation)."""
        self.units.layer, self.units.path = index, path
        self._outputs |= {t.grad_fn._sequence_nr() for _, t in first_tensors(returned) if t.grad_fn is not None}

    def before_backward(self, roots: Sequence[Any], place_of: Callable[[int], tuple[str | None, int]]) -> None:
        """A round ends at the nodes ``roots``; ``place_of`` tells by its number which line made a node."""
        self.moving_targets += moving_targets(roots, self.cuts.round, place_of)
        inner = _behind_weights(roots) if self.units.of_round() else set()
        self.units.measure(inner - self._outputs)
        self._outputs.clear()
        self.units.round += 1
        self.cuts.round += 1


def _behind_weights(roots: Sequence[Any]) -> set[int]:
    """The nodes, by sequence number, to which backward comes only by way of some parameter's operation."""
    found: set[int] = set()
    seen: set[tuple[Any, bool]] = {(root, False) for root in roots}
    waiting = list(seen)
    while waiting and len(seen) < _MOST_NODES:
        node, behind = waiting.pop()
        if behind:
            found.add(node._sequence_nr())
        children = [child for child, _ in node.next_functions if child is not None]
        now = behind or any(hasattr(child, "variable") for child in children)
        for child in children:
            if (child, now) not in seen and not hasattr(child, "variable"):
                seen.add((child, now))
                waiting.append((child, now))
    return found
