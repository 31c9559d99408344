"""Around each backward of a thorough watch: are graphs piling up, and is all that goes by finite?

Asked only of what lies on the CPU: nothing here waits for a device.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from stepscope.observe.frames import user_line
from stepscope.observe.gauge import looks_plain
from stepscope.observe.looks.graph import name_of
from stepscope.observe.thorough.alive import Alive, find_holder
from stepscope.observe.thorough.nonfinite import delicate, first_broken, first_singular, in_order, is_finite
from stepscope.record.events import Holder, Origin

if TYPE_CHECKING:
    from torch import Tensor

    from stepscope.observe.looks.looking import Looking
    from stepscope.observe.registry import Registry
    from stepscope.observe.thorough.units import Memory

#: Updates after which the graph of a round is searched for delicate operations only where there were some.
FIRST = 8
_MOST_NAMED = 5
#: What may be done to a loss on its way to backward (a loss scale, accumulation), and how often.
_FACTORS = frozenset({"MulBackward0", "DivBackward0", "CloneBackward0", "ToCopyBackward0"})
_MOST_FACTORS = 8

_Line = tuple[str | None, int]


class _Around:
    """One lane: the facts of the backward that runs, and what is known of earlier ones."""

    def __init__(self) -> None:
        self.alive = Alive()
        self.lines: dict[_Line, dict[str, list[_Line]]] = {}
        self.facts: dict[str, Any] = {}
        self.broken_before = False


class Soundness:
    """What the session keeps of it. ``dead`` remembers which units were dead in the last looks."""

    def __init__(self, registry: Registry) -> None:
        """Ask for the parameters and models of ``registry``."""
        self._registry = registry
        self._lanes: dict[int, _Around] = {}
        self.dead: Memory = {}

    def before(self, lane: int, update: int, roots: list[Tensor], value: Any, look: Looking | None) -> None:
        """Backward of update number ``update`` is about to run from ``roots``."""
        around = self._lanes.setdefault(lane, _Around())
        facts: dict[str, Any] = {}
        around.facts = facts
        kept = around.alive.count(update)
        if around.alive.worth_searching(kept):
            kept = around.alive.count(update)
            held = find_holder(update, self._registry.models())
            if held is not None:
                facts["holder"] = Holder(*held)
                around.alive.found()
        facts["kept"] = kept
        facts["rootless"] = bool(roots) and all(self._is_rootless(root) for root in roots)
        for root in roots:
            around.alive.mark(root, update)
        self._trace(around, update, roots, value, look)

    def after(self, lane: int) -> dict[str, Any]:
        """Backward has run: what there is to tell of it."""
        around = self._lanes.get(lane)
        if around is None:
            return {}
        facts, around.facts = around.facts, {}
        names = self._broken()
        if names:
            facts.update(broken=len(names), broken_names=names[:_MOST_NAMED])
        if not names and "lost" not in facts:
            facts.pop("origin", None)  # a slope that is not finite, but nothing was multiplied by it
        facts.pop("lost", None)
        around.broken_before = around.broken_before or bool(names)
        return facts

    def _is_rootless(self, root: Tensor) -> bool:
        """Whether nothing lies behind ``root`` but one number that is no parameter, perhaps multiplied."""
        leaf, node = root, root.grad_fn
        for _ in range(_MOST_FACTORS):
            if node is None:
                break
            variable = getattr(node, "variable", None)
            if variable is not None:
                leaf, node = variable, None
                break
            children = [child for child, _ in node.next_functions if child is not None]
            if len(children) != 1 or name_of(node) not in _FACTORS:
                return False
            node = children[0]
        return node is None and leaf.numel() == 1 and self._registry.entry(leaf) is None

    def _trace(self, around: _Around, update: int, roots: list[Tensor], value: Any, look: Looking | None) -> None:
        if around.broken_before or not all(root.is_cpu for root in roots):
            return
        place = user_line(2)
        known = around.lines.get(place)
        finite = is_finite(value)
        if finite and update > FIRST and not known:
            return  # nothing delicate was in it so far
        nodes = in_order([root.grad_fn for root in roots if root.grad_fn is not None])
        if not finite:
            around.facts["lost"] = True
            broken = first_broken(nodes)
            if broken is not None:
                node, words, certain = broken
                around.facts["origin"] = self._origin(nodes, node, words, known, look, certain=certain)
            return
        nodes = delicate(nodes)
        singular = first_singular(nodes)
        if singular is not None:
            around.facts["origin"] = self._origin(nodes, *singular, known, look, certain=True)
        if look is not None and (lines := _lines(nodes, look)):
            around.lines[place] = lines

    def _origin(
        self,
        nodes: list[Any],
        node: Any,
        words: str,
        known: dict[str, list[_Line]] | None,
        look: Looking | None,
        *,
        certain: bool,
    ) -> Origin:
        name = name_of(node)
        file, line = look.operations.place_of(node._sequence_nr()) if look is not None else (None, 0)
        if file is None and known is not None:
            # Operations are not listened to now: where the same one stood when they were.
            places = known.get(name, [])
            alike = [other for other in nodes if name_of(other) == name]
            if len(alike) == len(places):
                file, line = places[alike.index(node)]
            elif len(set(places)) == 1:
                file, line = places[0]
        return Origin(operation=name, words=words, made_file=file, made_line=line, certain=certain)

    def _broken(self) -> list[str]:
        """The parameters whose gradient is not finite."""
        held = [
            (entry.name, parameter.grad)
            for entry, parameter in self._registry.entries()
            if parameter.grad is not None and parameter.grad.is_cpu and looks_plain(parameter.grad)
        ]
        if not held:
            return []
        norms = torch._foreach_norm([gradient.detach() for _, gradient in held], float("inf"))
        if bool(torch.isfinite(torch.stack([norm.double() for norm in norms]).sum())):
            return []
        return [name for (name, _), norm in zip(held, norms, strict=True) if not bool(norm.isfinite())]


def _lines(nodes: list[Any], look: Looking) -> dict[str, list[_Line]]:
    """For each sort of operation the lines of its nodes, in the order they were made."""
    lines: dict[str, list[_Line]] = {}
    for node in nodes:
        lines.setdefault(name_of(node), []).append(look.operations.place_of(node._sequence_nr()))
    return lines if any(file for places in lines.values() for file, _ in places) else {}
