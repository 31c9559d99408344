"""The paths that the updates of a loop take, learned so that a regular loop can be told briefly.

A path is the order of what happens in an update (fetch, clear, backward, clip, step, ...), each
with the object it happened to. Paths are kept as a tree; a step along a known path costs one
dictionary look-up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stepscope.record.events import AnyEvent

# The kinds of step along a path; the id of the object is added to them.
BATCH, CLEAR, BACKWARD, GRAD, CLIP, STEP, SCALER, SCHEDULE, MODE, QUIET, START, END, MADE = (
    number << 56 for number in range(1, 14)
)
#: From here on: what happens around the loop (evaluations, epochs), not in every update.
OUTER = MODE

#: A loop with more different paths than this is never regular.
MOST_NODES = 20_000


class Node:
    """A point on a path; ``event`` is what last happened there, ``ends`` how often an update ended."""

    __slots__ = ("children", "ends", "event", "key")

    def __init__(self, key: int) -> None:
        """A point that is reached by ``key``."""
        self.key = key
        self.children: dict[int, Node] = {}
        self.event: AnyEvent | None = None
        self.ends = 0


class Paths:
    """The tree of all paths that one thread's updates have taken."""

    def __init__(self) -> None:
        """Know no path."""
        self.root = Node(0)
        self.nodes = 0

    def learn(self, node: Node, key: int, event: AnyEvent | None) -> Node:
        """Go on from ``node`` by ``key``; a repetition stays where it is."""
        if node.key == key:
            node.event = event
            return node
        child = node.children.get(key)
        if child is None:
            if self.nodes >= MOST_NODES:
                return node
            self.nodes += 1
            child = node.children[key] = Node(key)
        child.event = event
        return child
