"""The watch while it runs: seams tell it what happened, it writes the record."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec
from torch import Tensor
from torch.nn.modules.loss import _Loss

from stepscope.observe.frames import user_line
from stepscope.observe.gauge import Fetch, device_event, first_tensors, looks_plain, number_of, shapes_of
from stepscope.observe.lane import Lane, fill_tallies, in_engine_thread
from stepscope.observe.ledger import Ledger
from stepscope.observe.looks import graph
from stepscope.observe.looks.looking import Looking
from stepscope.observe.notes import Notes
from stepscope.observe.notice import say
from stepscope.observe.pattern import BATCH, CLEAR, CLIP, END, MODE, QUIET, SCALER, SCHEDULE, START
from stepscope.observe.quiet import unseen
from stepscope.observe.registry import Registry, number_in
from stepscope.observe.sleep import Sleep
from stepscope.observe.thorough.modes import Called
from stepscope.observe.thorough.probe import Probe
from stepscope.observe.thorough.soundness import Soundness
from stepscope.record import events as ev
from stepscope.record.look import Look
from stepscope.record.numbers import to_number

if TYPE_CHECKING:
    from collections.abc import Callable

    from stepscope.observe.patching import Patches
    from stepscope.observe.schedule import Plan
    from stepscope.observe.stopping import Stopper
    from stepscope.observe.tally import Tally
    from stepscope.record.store import Writer


class _Local(threading.local):
    """Each thread's lane; None until it has one."""

    lane: Lane | None = None


class Session:
    """One watch. All methods are called with observing seams only, never by user code."""

    def __init__(self, writer: Writer, plan: Plan, rank: int = 0) -> None:
        """Begin to write to ``writer``."""
        self.notes = Notes(writer, rank)
        self.plan = plan
        self.compiled = False
        self.owners_seen: set[str] = set()
        self.registry = Registry(self.note)
        self.ledger = Ledger(self.registry)
        self.soundness = Soundness(self.registry)
        self.asleep: Sleep | None = None
        self.on_sleep: Callable[[Sleep | None], None] = _nothing_more
        self.inner: dict[str, Patches] = {}
        self.on_compile: list[Callable[[], None]] = []
        self.arm: Callable[[], None] = _nothing
        self.disarm: Callable[[], None] = _nothing
        self._cells: dict[str, Tensor] = {}
        self.local = _Local()
        self._lanes: list[Lane] = []
        self._passes: dict[str, int] = {}
        self.stopper: Stopper | None = None
        self.seams: list[Any] = []
        self.probe = Probe(self) if plan.thorough and plan.probe else None
        self.samples: Any = None  # a Sampling, where the watch is thorough

    # Lanes.

    def lane(self) -> Lane:
        """The lane of this thread. A thread of the autograd engine belongs to whoever runs backward."""
        return self.local.lane or self._engine_lane() or self._new_lane()

    def _engine_lane(self) -> Lane | None:
        if not in_engine_thread():
            return None
        running = [lane for lane in self._lanes if lane.backwards]
        return running[0] if len(running) == 1 else None

    def _new_lane(self) -> Lane:
        self.rouse()  # steps of another thread are not to be counted for the one that sleeps
        with self.notes.lock:
            lane = self.local.lane = Lane(self, len(self._lanes))
            lane.called = Called() if self.plan.thorough else None
            self._lanes.append(lane)
            if lane.number:
                self.registry.here = lambda: self.lane().number
        lane.begin()
        return lane

    def woke(self) -> None:
        """A lane notes in full again: layers are listened to, gradients are followed anew."""
        self.ledger.forget()
        self.arm()

    def dozed(self) -> None:
        """A lane became brief; when all that train are, nobody listens to layers."""
        if all(lane.brief for lane in self._lanes if lane.updates):
            self.disarm()

    def new_look(self) -> Looking:
        """A close look at the update that begins."""
        self.arm()
        return Looking(self.registry, self._cells, thorough=self.plan.thorough > 0, dead=self.soundness.dead)

    def compile_began(self) -> None:
        """Code is being compiled: from here on nothing stands between it and torch."""
        self.compiled = True
        for lane in self._lanes:
            lane.let_go()
        for step_aside in self.on_compile:
            step_aside()

    @property
    def updates(self) -> int:
        """The updates of all threads so far."""
        return sum(lane.updates for lane in self._lanes)

    @property
    def evaluations(self) -> int:
        """The evaluations that were told so far."""
        return self.notes.evaluations

    @property
    def has_optimizers(self) -> bool:
        """Whether any optimizer is known."""
        return self.registry.has_optimizers

    @property
    def has_stepped(self) -> bool:
        """Whether any optimizer has stepped."""
        return bool(self.owners_seen)

    @property
    def epochs_begun(self) -> int:
        """The most passes that any loader has begun."""
        return max(self._passes.values(), default=0)

    # Sleeping.

    def only_lane(self, lane: Lane) -> bool:
        """Whether no other thread trains."""
        return all(other is lane for other in self._lanes if other.updates)

    @property
    def sleeps(self) -> bool:
        """Whether the loop is so regular that it is only counted."""
        return self.asleep is not None

    def sleep(self, lane: Lane) -> None:
        """Lift all that listens inside an update: a loop this regular is only counted."""
        self.asleep = Sleep(lane.finish_asleep, self.inner["backward"], self.plan.glimpse_every)
        for patches in self.inner.values():
            patches.lift()
        self.on_sleep(self.asleep)

    def rouse(self) -> None:
        """Listen inside updates again."""
        asleep, self.asleep = self.asleep, None
        if asleep is not None:
            self.on_sleep(None)
            for patches in self.inner.values():
                patches.lower()
            asleep.catch_up(again=False)

    # Noting.

    def note(self, kind: type[ev.Event], *, where: bool = True, **fields: Any) -> ev.AnyEvent:
        """Note an event of this thread, at the user's line that is being run."""
        event = self._event(kind, where=where, **fields)
        self.notes.put(event)
        return event

    def _event(self, kind: type[ev.Event], *, where: bool = True, **fields: Any) -> ev.AnyEvent:
        lane = self.lane()
        file, line = user_line(2) if where else (None, 0)
        event: Any = kind(
            at=self.notes.now(),
            rank=self.notes.rank,
            thread=lane.number,
            file=file,
            line=line,
            within=lane.within,
            **fields,
        )
        known: ev.AnyEvent = event
        return known

    def note_aside(self, kind: type[ev.Event], **fields: Any) -> None:
        """Note something that is no part of the loop's path."""
        self.note(kind, **fields)
        self.notes.flush()

    def replay(self, event: ev.AnyEvent, value: float | None) -> None:
        """Note again what happened along a known path, with the loss it had this time."""
        changes: dict[str, Any] = {"at": self.notes.now()}
        if isinstance(event, ev.Backward):
            changes["value"] = None if value is None else to_number(value)
            changes |= {"broken": 0, "broken_names": [], "origin": None, "kept": 0, "holder": None}
        self.notes.put(msgspec.structs.replace(event, **changes))

    # Batches.

    def pass_started(self, loader: Any) -> None:
        """A loader is being iterated anew."""
        lane = self.lane()
        lane.let_go()
        self.settle_manual(lane)
        known = self.registry.loader(loader)
        number = self._passes[known] = self._passes.get(known, 0) + 1
        lane.evaluating.pass_started(known, number)
        lane.pass_started(number)
        if lane.brief and lane.goes_on(START | number_in(known)):
            return
        event = self.note(ev.PassStarted, loader=known, number=number)
        lane.learn(START | number_in(known), event)

    def pass_ended(self, loader: Any, batches: int) -> None:
        """A loader ran out."""
        lane = self.lane()
        self.settle_manual(lane)
        known = self.registry.loader(loader)
        number = self._passes.get(known, 1)
        lane.evaluating.pass_ended(known)
        if lane.brief and lane.goes_on(END | number_in(known)):
            return
        event = self.note(ev.PassEnded, loader=known, number=number, batches=batches)
        lane.learn(END | number_in(known), event)

    def fetched(self, loader: Any, index: int, batch: Any) -> None:
        """A loader handed out a batch."""
        lane = self.lane()
        lane.let_go()
        self.settle_manual(lane)
        known = self.registry.loader(loader)
        lane.evaluating.fetched(known)
        if lane.brief and lane.goes_on(BATCH | number_in(known)):
            lane.fed_by(known, self._passes.get(known, 1))
            return
        if lane.evaluating.passes_over(known):
            return
        event = self.note(ev.BatchFetched, loader=known, index=index, tensors=shapes_of(batch))
        lane.learn(BATCH | number_in(known), event)

    # Gradients.

    def cleared(self, by: str, key: Any, parameters: list[Tensor], model: str | None = None) -> None:
        """``zero_grad`` of an optimizer or a module ran, in a lane that notes in full."""
        lane = self.lane()
        owners, count = self.ledger.cleared(parameters)
        event = self.note(ev.GradientsCleared, by=by, owners=owners, parameters=count, model=model)
        lane.learn(CLEAR | id(key), event)

    @unseen
    def clipped(self, by: str, find: Callable[[], list[Tensor]], limit: float, total_norm: Any) -> None:
        """Gradients were clipped; ``find`` lists the parameters they belong to."""
        lane = self.lane()
        if lane.brief and lane.goes_on(CLIP):
            return
        parameters = find()
        self.ledger.clipped(parameters)
        fresh, again = self.ledger.standing(parameters, watched=lane.updates < self.plan.thorough)
        entries = [self.registry.entry(p) for p in parameters]
        owners = list(dict.fromkeys(owner for e in entries if e is not None for owner in e.owners))
        norm = float(total_norm) if isinstance(total_norm, Tensor) and total_norm.is_cpu else None
        event = self.note(
            ev.GradientsClipped,
            by=by,
            limit=to_number(float(limit)),
            total_norm=None if norm is None else to_number(norm),
            parameters=len(parameters),
            with_gradient=sum(p.grad is not None for p in parameters),
            owners=owners,
            fresh=fresh,
            again=again,
        )
        lane.learn(CLIP, event)

    def scaled(self, action: str, optimizer: Any, scale: float | None) -> None:
        """A GradScaler did something."""
        lane = self.lane()
        key = SCALER | _SCALER_ACTIONS[action]
        if lane.brief and lane.goes_on(key):
            return
        owner = self.registry.optimizer(optimizer) if optimizer is not None else None
        event = self.note(
            ev.ScalerUsed, action=action, optimizer=owner, scale=None if scale is None else to_number(scale)
        )
        lane.learn(key, event)

    def scheduled(self, scheduler: Any, rates: list[Any]) -> None:
        """A scheduler stepped."""
        lane = self.lane()
        if lane.brief and lane.goes_on(SCHEDULE | id(scheduler)):
            return
        event = self.note(ev.SchedulerStepped, scheduler=self.registry.scheduler(scheduler), rates=rates)
        lane.learn(SCHEDULE | id(scheduler), event)

    def mode_changed(self, module: Any, *, training: bool) -> None:
        """``train()`` or ``eval()`` ran on a module."""
        lane = self.lane()
        key = (MODE | id(module)) + training
        if lane.brief and lane.goes_on(key):
            return
        event = self.note(
            ev.ModeChanged, training=training, cls=type(module).__name__, model=self.registry.known_model(module)
        )
        lane.learn(key, event)

    def gradients_disabled(self, by: str) -> None:
        """User code entered ``no_grad``."""
        lane = self.lane()
        lane.let_go()
        if lane.brief and lane.goes_on(QUIET):
            return
        lane.learn(QUIET, self.note(ev.GradientsDisabled, by=by))

    # Forward.

    @unseen
    def model_called(self, module: Any, *, grad: bool, failed: bool, args: Any, kwargs: Any, result: Any) -> None:
        """User code called a module."""
        criterion = isinstance(module, _Loss)
        lane = self.lane()
        if not criterion:
            lane.evaluating.model_called(grad=grad)  # before the call is noted: it may end an evaluation
        model = self.registry.model(module)
        self.note(
            ev.ModelCalled,
            model=model,
            grad=grad,
            training=bool(module.training),
            mixed=_mixed(module),
            criterion=criterion,
            failed=failed,
            inputs=shapes_of((args, kwargs)),
            outputs=shapes_of(result),
            **({} if lane.called is None else lane.called.end(model, first_tensors(args, kwargs), lane.updates)),
        )

    @unseen
    def loss_called(
        self, function: str, result: Tensor, prediction: Any, target: Any, ignore_index: int, settings: tuple[Any, ...]
    ) -> None:
        """A loss function of torch returned ``result``; ``settings`` are its further arguments."""
        lane = self.lane()
        if lane.backwards:
            return  # recomputed by checkpointing
        if not result.requires_grad:
            if not looks_plain(result):
                return  # it has no value yet, or none that is one number
            lane.evaluating.loss_called(function, result, prediction, target, ignore_index)
            return
        if lane.brief and not self.plan.judges(lane.updates + 1):
            return
        lane.judged = graph.answers(function, prediction, target, ignore_index)
        if lane.look is not None:
            if self.probe is not None:
                self.probe.loss_called(target)
            with lane.look.quietly:
                lane.look.loss_called(function, result, prediction, target, lane.judged, settings)
        if not lane.brief:
            self.settle_manual(lane)
            self.note_number(ev.LossComputed, number_of([result]), function=function, grad=True)

    def note_number(self, kind: type[ev.Event], number: float | Tensor | None, **fields: Any) -> ev.AnyEvent:
        """Note an event with a ``value`` that may still be on a device."""
        if not isinstance(number, Tensor):
            return self.note(kind, value=None if number is None else to_number(number), **fields)
        fetch = Fetch([number])
        event: Any = self._event(kind, **fields)
        self.notes.put_later(
            event, fetch.ready, lambda: msgspec.structs.replace(event, value=to_number(fetch.values()[0]))
        )
        known: ev.AnyEvent = event
        return known

    def note_accuracy(self, found: graph.Answers) -> None:
        """Note how many targets the backward's round had right."""
        numbers = [found.right, found.of] if isinstance(found.of, Tensor) else [found.right]
        fetch = Fetch(numbers)
        event: Any = self._event(ev.Accuracy, right=0, of=0)

        def finish() -> ev.AnyEvent:
            values = fetch.values()
            of = int(values[1]) if len(values) > 1 else int(found.of)
            whole: ev.AnyEvent = msgspec.structs.replace(event, right=int(values[0]), of=of)
            return whole

        self.notes.put_later(event, fetch.ready, finish)

    def settle_manual(self, lane: Lane) -> None:
        """The next round begins: the weights of a manual update are final now."""
        look = lane.look
        if look is not None and look.done and look.step.waits:
            with look.quietly:
                look.step.after_manual()
            self.put_look(lane, look)
            lane.finish_in_full()
            self.notes.flush()

    # Looks.

    def put_look(self, lane: Lane, look: Looking, *, unfinished: bool = False) -> None:
        """Put a look into the record, as soon as its numbers are here.

        ``unfinished``: nothing was trained; forward is all there is, told as update 0.
        """
        notes = self.notes
        number = 0 if unfinished else notes.assembler.updates + 1
        head = ev.LookTaken(at=notes.now(), rank=notes.rank, thread=lane.number, update=number, look=_NO_LOOK)
        event = device_event()

        def finish() -> ev.AnyEvent:
            built = look.build()
            name = notes.writer.write_tensors(f"update-{number:06d}-rank{notes.rank}.safetensors", look.kept.arrays())
            return msgspec.structs.replace(head, look=msgspec.structs.replace(built, values=name))

        notes.put_later(head, event.query if event else _always, finish)
        if self.probe is not None and not unfinished:
            self.probe.update_done(lane, number)

    # Stretches.

    def tell_stretch(
        self, event: ev.Stretch, tallies: dict[str, Tally], owners: list[str], answers: list[Any], fetch: Fetch
    ) -> None:
        """Put a stretch into the record."""

        def finish() -> ev.AnyEvent:
            return msgspec.structs.replace(event, tallies=fill_tallies(tallies, owners, answers, fetch.values()))

        self.notes.put_later(event, fetch.ready, finish)
        self.notes.flush()

    # The end.

    @unseen
    def end(self, reason: Any, message: str = "") -> None:
        """Write everything that is left."""
        asleep, self.asleep = self.asleep, None
        if asleep is not None:
            asleep.catch_up(again=False)  # the seams are out already: only count what they saw
        for lane in self._lanes:
            lane.let_go()
            lane.evaluating.end()
            lane.tell()
            lane.brief = False
            look = lane.look
            if look is not None and look.step.waits and look.done:
                self.settle_manual(lane)
            elif look is not None and look.saw_forward and not self.notes.assembler.updates:
                self.put_look(lane, look, unfinished=True)
        self.notes.assembler.finish()  # a manual update that no further round has ended counts, too
        self.notes.put(
            ev.RunEnded(
                at=self.notes.now(),
                rank=self.notes.rank,
                reason=reason,
                message=message[:2000],
                updates=self.notes.assembler.updates,
                left_out=self.notes.left_out,
            )
        )
        self.notes.flush(wait=True)

    def defect(self, part: str, error: Exception) -> None:
        """Something of ours failed: note it, say it once, never let it reach the training."""
        message = f"{type(error).__name__}: {error}"[:500]
        with suppress(Exception):  # it may be the noting itself that fails
            self.notes.put(ev.Defect(at=self.notes.now(), rank=self.notes.rank, part=part, message=message))
        say(f"a defect of stepscope in '{part}' ({message}); it no longer observes, your training goes on")


_NO_LOOK = Look()
_SCALER_ACTIONS = {"scale": 1, "unscale": 2, "step": 3, "skip": 4, "update": 5}


def _nothing_more(_sleep: Sleep | None) -> None:
    """Before the seams are in there are no hooks to exchange."""


def _nothing() -> None:
    """Before the seams are in there is nothing to arm."""


def _always() -> bool:
    return True


def _mixed(module: Any) -> bool:
    return any(part.training != module.training for part in module.modules())
