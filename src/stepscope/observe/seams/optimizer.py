"""Optimizers: their steps through torch's global hooks, ``zero_grad`` and construction by wrapping."""

from __future__ import annotations

import functools
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from stepscope.observe.patching import Patches
from stepscope.observe.pattern import CLEAR, MADE, STEP
from stepscope.observe.quiet import unseen
from stepscope.observe.registry import gradients_in, rates_of
from stepscope.observe.seams.base import Seam
from stepscope.record import events as ev

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

    from stepscope.observe.lane import Lane
    from stepscope.observe.sleep import Sleep


class OptimizerSeam(Seam):
    """Notes each outermost step, and the clearing of gradients by an optimizer."""

    module = "torch.optim"
    part = "optimizer"

    def install(self, module: ModuleType) -> None:
        """Register the hooks and wrap what has none."""
        del module
        self._handles: list[Any] = []
        self._listen(None)
        self.session.on_sleep = self._listen
        self._clearing = self.session.inner["zero_grad"] = Patches()
        self._clearing.replace(Optimizer, "zero_grad", self._make_zero_grad)
        self.patches.replace(Optimizer, "__init__", self.after(self._made))

    def _listen(self, asleep: Sleep | None) -> None:
        """Hook into steps; of a loop that is asleep only into their end."""
        after = self._after if asleep is None else self._safely(asleep)
        for before in self._handles[1:]:
            before.remove()
        if self._handles:
            # This may run inside that very hook, while torch goes through them: it must stay in its place.
            self._handles[0].hooks_dict_ref()[self._handles[0].id] = after
        else:
            self._handles = [register_optimizer_step_post_hook(after)]
        del self._handles[1:]
        if asleep is None:
            self._handles.append(register_optimizer_step_pre_hook(self._before))

    def _safely(self, asleep: Sleep) -> Callable[..., None]:
        stepped, limited = asleep.stepped, self.session.stopper is not None

        def hook(optimizer: Optimizer, args: Any, kwargs: Any) -> None:
            try:
                stepped(optimizer, args, kwargs)
                if limited:
                    self._ask_whether_to_end()
            except Exception as error:  # noqa: BLE001
                self.retire(error)

        return hook

    def _forget(self) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles = []

    def all_patches(self) -> list[Patches]:
        """The wrapper of ``zero_grad`` is a set of its own."""
        return [self.patches, self._clearing]

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Take the hooks out as well."""
        self._forget()
        try:
            with super().paused():
                yield
        finally:
            self._listen(self.session.asleep)

    def remove(self) -> None:
        """Take hooks and wrappers out."""
        super().remove()
        self._clearing.remove()
        self._forget()

    def _made(self, _result: None, optimizer: Optimizer, *_args: Any, **_kwargs: Any) -> None:
        lane = self.session.lane()
        if lane.updates and not (lane.brief and lane.goes_on(MADE)):
            lane.learn(MADE, None)
        self.session.registry.optimizer(optimizer, made=True)
        if self.session.plan.thorough:
            self.session.registry.origins.settle(_parameters(optimizer), self.session.registry.entry)

    def _make_zero_grad(self, original: Any) -> Any:
        local = self.session.local

        @functools.wraps(original)
        def zero_grad(optimizer: Optimizer, *args: Any, **kwargs: Any) -> Any:
            result = original(optimizer, *args, **kwargs)
            if self.on and not torch.compiler.is_compiling():
                try:
                    lane = local.lane
                    if lane is None or not lane.brief or not lane.goes_on(CLEAR | id(optimizer)):
                        self._cleared(optimizer)
                except Exception as error:  # noqa: BLE001
                    self.retire(error)
            return result

        return zero_grad

    @unseen
    def _cleared(self, optimizer: Optimizer) -> None:
        self.session.registry.optimizer(optimizer)
        parameters = _parameters(optimizer)
        self.session.registry.claim(parameters)
        self.session.cleared("optimizer", optimizer, parameters)

    def _before(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        if not self.on or torch.compiler.is_compiling():
            return
        try:
            lane = self.session.local.lane or self.session.lane()
            again = lane.begin_step(optimizer)
            if not lane.brief and not again:
                self._about_to_step(lane, optimizer, closure=_has_closure(args, kwargs))
        except Exception as error:  # noqa: BLE001
            self.retire(error)

    @unseen
    def _about_to_step(self, lane: Lane, optimizer: Optimizer, *, closure: bool) -> None:
        session = self.session
        id_ = session.registry.optimizer(optimizer)
        session.owners_seen.add(id_)
        parameters = _parameters(optimizer)
        session.registry.claim(parameters)
        if not closure:
            lane.standing = session.ledger.standing(parameters, watched=lane.updates < session.plan.thorough)
        gone = session.ledger.silently_cleared(parameters)
        if gone is not None:
            owners = session.ledger.emptied([id_])
            session.note(
                ev.GradientsCleared, where=False, by="assignment", owners=owners, parameters=len(gone.parameters)
            )
        if lane.look is not None and not lane.look.done:
            with lane.look.quietly:
                lane.look.step.before_step(optimizer, id_, gradients=gradients_in(parameters) > 0, closure=closure)

    def _after(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        if not self.on or torch.compiler.is_compiling():
            return
        try:
            lane = self.session.local.lane or self.session.lane()
            if not lane.end_step(optimizer):
                return
            if lane.brief and lane.goes_on(STEP | id(optimizer)):
                self._stepped_briefly(lane, optimizer)
            else:
                self._stepped(lane, optimizer, closure=_has_closure(args, kwargs))
            self._ask_whether_to_end()
        except Exception as error:  # noqa: BLE001
            self.retire(error)

    def _ask_whether_to_end(self) -> None:
        session = self.session
        if session.stopper is not None:
            session.stopper.step_done(session, session.lane())

    def _stepped_briefly(self, lane: Lane, optimizer: Optimizer) -> None:
        owner = self.session.registry.known_optimizer(optimizer)
        if lane.within == "":
            lane.finish_brief(owner)
        elif lane.within == "backward":
            lane.stepped_inside = owner

    @unseen
    def _stepped(self, lane: Lane, optimizer: Optimizer, *, closure: bool) -> None:
        session = self.session
        id_ = session.registry.optimizer(optimizer)
        parameters = _parameters(optimizer)
        watched = lane.updates < session.plan.thorough
        fresh, again = session.ledger.standing(parameters, watched=watched) if closure else lane.standing
        look = lane.look
        if look is not None:
            with look.quietly:
                if look.done:  # a manual update was under way when an optimizer stepped all the same
                    look.step.after_manual()
                else:
                    look.step.after_step(optimizer)
            if lane.within == "":
                session.put_look(lane, look)
        event = session.note(
            ev.OptimizerStepped,
            optimizer=id_,
            parameters=len(parameters),
            with_gradient=gradients_in(parameters),
            fresh=fresh,
            again=again,
            rates=rates_of(optimizer),
            frozen=sum(not parameter.requires_grad for parameter in parameters),
            closure=closure,
        )
        lane.learn(STEP | id(optimizer), event)
        session.ledger.applied(parameters, measured=watched)
        if lane.within == "":
            lane.finish_in_full(plain=not closure)
            session.notes.flush()
        elif lane.within == "backward":
            lane.stepped_inside = id_


def _parameters(optimizer: Optimizer) -> list[torch.Tensor]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def _has_closure(args: Any, kwargs: Any) -> bool:
    # Bound or not, the arguments of step begin with the optimizer itself on some versions.
    return any(callable(value) and not isinstance(value, Optimizer) for value in (*args, *kwargs.values()))
