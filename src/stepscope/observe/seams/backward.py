"""Backward and ``autograd.grad``: both go through the engine, whatever name called them."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from stepscope.observe.gauge import number_of
from stepscope.observe.looks import graph
from stepscope.observe.naming import name_in_script
from stepscope.observe.pattern import BACKWARD, GRAD
from stepscope.observe.quiet import Quietly, unseen
from stepscope.observe.seams.base import Seam
from stepscope.record import events as ev
from stepscope.record.numbers import to_number

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

    from stepscope.observe.lane import Lane
    from stepscope.observe.ledger import Filled


class BackwardSeam(Seam):
    """Notes each outermost run of the engine."""

    module = "torch.autograd"
    part = "backward"
    inner = True

    def install(self, module: ModuleType) -> None:
        """Wrap the function through which ``backward`` and ``grad`` both reach the engine."""
        self.patches.replace(module, "_engine_run_backward", self._make)

    def _make(self, original: Any) -> Any:
        @functools.wraps(original)
        def run_backward(t_outputs: Any, *args: Any, **kwargs: Any) -> Any:
            lane = self.lane() if self.on else None
            if lane is None or lane.backwards:
                return original(t_outputs, *args, **kwargs)
            if self.session.asleep:
                self._glimpse(lane, t_outputs)
                return original(t_outputs, *args, **kwargs)
            accumulates = kwargs.get("accumulate_grad", False)
            roots = [t for t in t_outputs if isinstance(t, Tensor)]
            value, brief = self._before(lane, roots, accumulates=accumulates)
            outer, lane.within = lane.within, "backward"
            lane.backwards += 1
            result, failed = (), True
            try:
                result = original(t_outputs, *args, **kwargs)
                failed = False
            finally:
                lane.backwards -= 1
                lane.within = outer
                if self.on:
                    self._after(lane, roots, args, value, result, accumulates=accumulates, failed=failed, brief=brief)
            return result

        return run_backward

    @unseen
    def _glimpse(self, lane: Lane, t_outputs: Any) -> None:
        """While the loop is only counted: read the loss."""
        try:
            lane.add_loss(number_of(list(t_outputs)) if lane.scaled is None else None)
        except Exception as error:  # noqa: BLE001
            self.retire(error)

    @unseen
    def _before(self, lane: Lane, roots: list[Tensor], *, accumulates: bool) -> tuple[Any, bool]:
        """Return what is backpropagated, and whether the lane stayed brief."""
        try:
            lane.let_go()
            session = self.session
            value = number_of(roots) if lane.scaled is None else _value(lane, roots)[0]
            if lane.evaluating.open:
                lane.evaluating.close()
            if lane.stepping:
                lane.drop_stale_steps()
            if lane.brief and lane.goes_on(BACKWARD if accumulates else GRAD):
                return value, True
            session.settle_manual(lane)
            if accumulates:
                for cleared in session.ledger.before_backward():
                    entries = cleared.parameters
                    owners = list(dict.fromkeys(owner for entry in entries for owner in entry.owners))
                    owners = session.ledger.emptied(owners)
                    session.note(
                        ev.GradientsCleared, where=False, by=cleared.by, owners=owners, parameters=len(entries)
                    )
                if lane.look is not None and not lane.look.done:
                    with lane.look.quietly:
                        lane.look.before_backward(roots, value, _value(lane, roots)[1])
                if self._attentive(lane):
                    with Quietly():
                        session.soundness.before(lane.number, lane.updates + 1, roots, value, lane.look)
        except Exception as error:  # noqa: BLE001
            self.retire(error)
            return None, True
        return value, False

    @unseen
    def _after(
        self,
        lane: Lane,
        roots: list[Tensor],
        args: Sequence[Any],
        value: Any,
        result: Any,
        *,
        accumulates: bool,
        failed: bool,
        brief: bool,
    ) -> None:
        try:
            if brief:
                self._after_brief(lane, value, accumulates=accumulates)
            elif accumulates:
                self._after_backward(lane, roots, args, value, failed=failed)
            else:
                self._after_grad(lane, args, value, result, failed=failed)
            if self.session.stopper is not None and not failed:
                self.session.stopper.round_done(self.session, lane)
        except Exception as error:  # noqa: BLE001
            self.retire(error)

    def _after_brief(self, lane: Lane, value: Any, *, accumulates: bool) -> None:
        if accumulates:
            lane.add_loss(value)
            lane.remember_loss(value)
        if lane.stepped_inside is not None:
            owner, lane.stepped_inside = lane.stepped_inside, None
            lane.finish_brief(owner)
        elif lane.at_manual_end():
            lane.finish_brief("manual")

    def _after_backward(
        self, lane: Lane, roots: list[Tensor], args: Sequence[Any], value: Any, *, failed: bool
    ) -> None:
        session = self.session
        filled = session.ledger.after_backward()
        if filled.unowned and not filled.owners and session.registry.find_optimizers():
            filled = session.ledger.after_backward()  # with the owners that are known now
        if not filled.filled and not failed:
            self._find_leaves(roots, filled)
        look = lane.look
        stepped, lane.stepped_inside = lane.stepped_inside, None
        manual = not filled.owners and filled.unowned > 0
        if look is not None and not look.done:
            with look.quietly:
                if look.gathering is not None:
                    look.gathering.after()
                if manual or lane.within == "step":
                    parameters = [p for _, p in session.registry.entries()]
                    look.step.gradients_came(parameters, [p.grad for p in parameters])
            look.done = manual
            if stepped is not None:
                session.put_look(lane, look)
        _, scale = _value(lane, roots)
        lane.scaled = None
        event = session.note_number(
            ev.Backward,
            value,
            shape=list(roots[0].shape) if roots else [],
            leaf=any(t.grad_fn is None for t in roots),
            inputs=bool(len(args) > 3 and args[3]),
            retain_graph=bool(args[1]) if len(args) > 1 else False,
            create_graph=bool(args[2]) if len(args) > 2 else False,
            failed=failed,
            owners=filled.owners,
            filled=filled.filled,
            unowned=filled.unowned,
            stale=filled.stale,
            altered=filled.altered,
            scale=None if scale is None else to_number(scale),
            **self._soundness(lane),
        )
        lane.learn(BACKWARD, event)
        lane.add_loss(value)
        if lane.judged is not None:
            session.note_accuracy(lane.judged)
            lane.judged = None
        if stepped is not None or (manual and look is None):
            lane.finish_in_full()
            session.notes.flush()

    def _attentive(self, lane: Lane) -> bool:
        """Whether this update is watched for the rules."""
        return lane.updates < self.session.plan.thorough and not self.session.compiled

    def _soundness(self, lane: Lane) -> dict[str, Any]:
        """What there is to tell of the gradients that have just come."""
        if not self._attentive(lane):
            return {}
        with Quietly():
            return self.session.soundness.after(lane.number)

    def _find_leaves(self, roots: list[Tensor], filled: Filled) -> None:
        """Gradients went to leaves that no model and no optimizer holds: manual training."""
        registry = self.session.registry
        nodes = [t.grad_fn for t in roots if t.grad_fn is not None]
        for leaf in graph.leaves_of(nodes):
            entry = registry.entry(leaf)
            if leaf.grad is None or (entry is None and not self._may_be_trained(leaf)):
                continue
            if entry is None:
                entry = registry.add_parameter(leaf, name_in_script(leaf, ""))
                entry.filled = True
            filled.filled += 1
            filled.unowned += 1

    def _may_be_trained(self, leaf: Tensor) -> bool:
        # With an optimizer about, a bare leaf is rather an input whose gradient is wanted.
        return isinstance(leaf, nn.Parameter) or not self.session.registry.has_optimizers

    def _after_grad(self, lane: Lane, args: Sequence[Any], value: Any, result: Any, *, failed: bool) -> None:
        session = self.session
        inputs = [t for t in (args[3] if len(args) > 3 else ()) if isinstance(t, Tensor)]
        create_graph = bool(args[2]) if len(args) > 2 else False
        leaves = [t for t in inputs if t.is_leaf and t.requires_grad and not create_graph and self._may_be_trained(t)]
        entries = [session.registry.add_parameter(leaf, name_in_script(leaf, "")) for leaf in leaves]
        owners = list(dict.fromkeys(owner for entry in entries for owner in entry.owners))
        manual = bool(leaves) and not owners and not failed
        look = lane.look
        if manual and look is not None and not look.done:
            gradients = [g if isinstance(g, Tensor) else None for g in result]
            with look.quietly:
                look.step.gradients_came(inputs, gradients)
            look.done = True
        event = session.note_number(
            ev.GradComputed,
            value,
            inputs=len(inputs),
            parameters=len(leaves),
            owners=owners,
            create_graph=create_graph,
            failed=failed,
        )
        lane.learn(GRAD, event)
        if manual:
            lane.add_loss(value)
            if look is None:
                lane.finish_in_full()
                session.notes.flush()


def _value(lane: Lane, roots: list[Tensor]) -> tuple[Any, float | None]:
    """What is backpropagated, without the loss scale, and that scale."""
    if lane.scaled is not None and len(roots) == 1 and lane.scaled[0]() is roots[0]:
        return lane.scaled[1], lane.scaled[2]
    return number_of(roots), None
