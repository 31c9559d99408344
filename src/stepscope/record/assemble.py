"""From events to updates and evaluations: the one reading that all others build on.

The watch feeds its assembler while the script runs, a loaded run feeds one from disk; both
get the same updates. Rounds are handed to the optimizer whose parameters they filled, so a
gradient that reaches a discriminator from its generator's loss counts for nobody once it is
cleared.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from stepscope.record import events as ev
from stepscope.record.updates import Evaluation, Kind, Round, Update

if TYPE_CHECKING:
    from collections.abc import Callable

_T = TypeVar("_T")

#: What is kept of an update that never ends (a loop that never steps, a closure run for hours).
MOST_ROUNDS = 64
MOST_EVENTS = 1024
MOST_CALLS = 8


@dataclass
class _Pending:
    """A round whose gradients wait for a step; ``owners`` are the optimizers still to step."""

    round: Round
    owners: set[str]
    manual: bool
    used: bool = False


@dataclass
class _Thread:
    """The update that one thread is in the middle of."""

    events: list[ev.AnyEvent] = field(default_factory=list)
    calls: list[ev.ModelCalled] = field(default_factory=list)
    losses: list[ev.LossComputed] = field(default_factory=list)
    gradients: list[ev.GradComputed] = field(default_factory=list)
    quiet: list[ev.ModelCalled] = field(default_factory=list)
    quiet_count: int = 0
    pending: list[_Pending] = field(default_factory=list)
    left_out: int = 0
    discarded: list[Round] = field(default_factory=list)
    inside: list[ev.OptimizerStepped] = field(default_factory=list)
    evaluation: Evaluation | None = None
    window: str | None = None
    unfed: bool = False  # the pass over ``window`` has begun, and no batch came yet
    fed: frozenset[str] = frozenset()  # the loaders that fed the last update
    passes: dict[str, int] = field(default_factory=dict)
    fresh: bool = True
    last_round: Round | None = None


class Assembler:
    """Assembles the events of one rank. ``updates`` counts the updates so far."""

    def __init__(self) -> None:
        """Start with an empty run."""
        self.updates = 0
        self.rounds = 0
        self._threads: dict[int, _Thread] = {}
        self._numbers: dict[str, int] = {}
        self._trained: set[str] = set()
        self._handlers: dict[type, Callable[..., bool]] = {
            ev.ModelCalled: self._called,
            ev.LossComputed: self._loss,
            ev.Backward: self._backward,
            ev.GradComputed: self._grad,
            ev.GradientsCleared: self._cleared,
            ev.OptimizerStepped: self._stepped,
            ev.PassStarted: self._pass_started,
            ev.PassEnded: self._pass_ended,
            ev.BatchFetched: self._fetched,
            ev.Stretch: self._stretch,
            ev.Evaluated: self._evaluated,
            ev.Accuracy: self._accuracy,
        }

    def feed(self, event: ev.AnyEvent) -> list[Update | Evaluation]:
        """Take the next event; return what it completed."""
        thread = self._threads.get(event.thread)
        if thread is None:
            thread = self._threads[event.thread] = _Thread()
        handler = self._handlers.get(type(event))
        done: list[Update | Evaluation] = []
        before = handler(thread, event, done) if handler else False
        if not before and not isinstance(event, _ASIDE) and len(thread.events) < MOST_EVENTS:
            thread.events.append(event)
        return done

    def finish(self) -> list[Update | Evaluation]:
        """Close what the end of the run leaves open: manual updates, evaluations."""
        done: list[Update | Evaluation] = []
        for thread in self._threads.values():
            self._close_manual(thread, done)
            self._to_evaluation(thread)
            self._close_evaluation(thread, done)
        return done

    def unstepped(self) -> list[Round]:
        """The rounds whose gradients no step has used so far."""
        return [p.round for t in self._threads.values() for p in t.pending if not p.used]

    # Each handler returns True where the event belongs to an update that it just closed.

    def _called(self, thread: _Thread, event: ev.ModelCalled, done: list[Update | Evaluation]) -> bool:
        if event.within == "backward":
            return False
        if not event.grad:
            _keep(thread.quiet, event, MOST_CALLS)
            thread.quiet_count += 1
            return False
        self._close_manual(thread, done)
        if thread.quiet and thread.window is None and self._looks_like_evaluation(thread, event):
            self._to_evaluation(thread)
        _keep(thread.calls, event, MOST_EVENTS)
        return False

    def _looks_like_evaluation(self, thread: _Thread, event: ev.ModelCalled) -> bool:
        """Without a loader to go by: was it the trained model itself, run for its own sake?

        Where another model comes next (a discriminator after its generator, a student after its
        teacher), the quiet calls rather made what it is given: they belong to its round.
        """
        return any(call.model == event.model for call in thread.quiet) and all(
            call.model in self._trained or (call.model == event.model and event.training and not call.training)
            for call in thread.quiet
        )

    def _loss(self, thread: _Thread, event: ev.LossComputed, done: list[Update | Evaluation]) -> bool:
        if event.grad and event.within != "backward":
            self._close_manual(thread, done)
            _keep(thread.losses, event, MOST_EVENTS)
        return False

    def _backward(self, thread: _Thread, event: ev.Backward, done: list[Update | Evaluation]) -> bool:
        if event.within == "backward" or event.failed:
            return False
        if not thread.calls and not thread.losses:
            self._close_manual(thread, done)
        self._close_evaluation(thread, done)
        made = Round(
            calls=thread.quiet + thread.calls,
            losses=thread.losses,
            backward=event,
            gradients=thread.gradients,
        )
        self._trained.update(call.model for call in thread.calls)
        self._pend(thread, made, set(event.owners), manual=not event.owners and event.unowned > 0)
        if thread.inside:
            if len(thread.events) < MOST_EVENTS:
                thread.events.append(event)
            self._close(thread, "in-backward", thread.inside, [p.round for p in thread.pending], done)
            thread.pending = []
            return True
        return False

    def _grad(self, thread: _Thread, event: ev.GradComputed, done: list[Update | Evaluation]) -> bool:
        if event.failed or event.within == "backward":
            return False
        manual = event.parameters > 0 and not event.owners
        if manual and not thread.calls and not thread.losses:
            self._close_manual(thread, done)
        thread.gradients.append(event)
        del thread.gradients[:-MOST_ROUNDS]
        if manual:
            made = Round(calls=thread.quiet + thread.calls, losses=thread.losses, gradients=thread.gradients)
            self._pend(thread, made, set(), manual=True)
        return False

    def _pend(self, thread: _Thread, made: Round, owners: set[str], *, manual: bool) -> None:
        self.rounds += 1
        thread.calls, thread.losses, thread.gradients, thread.quiet = [], [], [], []
        thread.quiet_count = 0
        thread.last_round = made
        thread.fresh = False
        thread.pending.append(_Pending(made, owners, manual))
        if len(thread.pending) > MOST_ROUNDS:
            thread.pending.pop(1)
            thread.left_out += 1

    def _accuracy(self, thread: _Thread, event: ev.Accuracy, _done: list[Update | Evaluation]) -> bool:
        if thread.last_round is not None:
            thread.last_round.right += event.right
            thread.last_round.of += event.of
        return True

    def _cleared(self, thread: _Thread, event: ev.GradientsCleared, done: list[Update | Evaluation]) -> bool:
        if event.within:
            return False
        if event.by in {"assignment", "zero"} and not thread.calls and not thread.losses:
            self._close_manual(thread, done)  # noticed because the next backward begins
        cleared = set(event.owners)
        kept = []
        for pending in thread.pending:
            if pending.owners:
                pending.owners -= cleared
                if not pending.owners:
                    if not pending.used:
                        thread.discarded.append(pending.round)
                        del thread.discarded[:-MOST_ROUNDS]
                    continue
            kept.append(pending)
        thread.pending = kept
        return False

    def _stepped(self, thread: _Thread, event: ev.OptimizerStepped, done: list[Update | Evaluation]) -> bool:
        if event.within == "step":
            return False
        if event.within == "backward":
            _keep(thread.inside, event, MOST_EVENTS)
            return False
        self._close_evaluation(thread, done)
        rounds, kept = [], []
        for pending in thread.pending:
            if event.optimizer in pending.owners or not (pending.owners or pending.manual):
                rounds.append(pending.round)
                pending.used = True
                pending.owners.discard(event.optimizer)
            if pending.owners or (pending.manual and not pending.used):
                kept.append(pending)
        thread.pending = kept
        thread.events.append(event)
        self._close(thread, "closure" if event.closure else "step", [event], rounds, done)
        return True

    def _close_manual(self, thread: _Thread, done: list[Update | Evaluation]) -> None:
        rounds = [p.round for p in thread.pending if p.manual]
        if rounds:
            thread.pending = [p for p in thread.pending if not p.manual]
            self._close(thread, "manual", [], rounds, done)

    def _close(
        self,
        thread: _Thread,
        kind: Kind,
        steps: list[ev.OptimizerStepped],
        rounds: list[Round],
        done: list[Update | Evaluation],
    ) -> None:
        self.updates += 1
        events = thread.events
        done.append(
            Update(
                index=self.updates,
                kind=kind,
                rank=events[-1].rank if events else 0,
                thread=events[-1].thread if events else 0,
                rounds=rounds,
                rounds_left_out=thread.left_out,
                discarded=thread.discarded,
                steps=steps,
                clears=[e for e in events if isinstance(e, ev.GradientsCleared)],
                clips=[e for e in events if isinstance(e, ev.GradientsClipped)],
                scaling=[e for e in events if isinstance(e, ev.ScalerUsed)],
                events=events,
                passes=dict(thread.passes),
            )
        )
        thread.events, thread.discarded, thread.inside, thread.left_out = [], [], [], 0
        thread.fed = frozenset(thread.passes)
        thread.fresh = True

    # Evaluations and passes.

    def _to_evaluation(self, thread: _Thread) -> None:
        """Calls that no backward followed were an evaluation's."""
        followed = [] if not thread.fresh else thread.calls
        calls = thread.quiet + followed
        if thread.fresh:
            thread.events = [e for e in thread.events if not isinstance(e, _OF_EVALUATIONS)]
        if not calls:
            return
        if thread.evaluation is None:
            rank = calls[0].rank
            thread.evaluation = Evaluation(self.updates, rank=rank, thread=calls[0].thread)
        for call in calls:
            _keep(thread.evaluation.calls, call, MOST_CALLS)
        thread.evaluation.calls_total += thread.quiet_count + len(followed)
        thread.quiet, thread.quiet_count = [], 0
        if thread.fresh:
            thread.calls, thread.losses = [], []

    def _close_evaluation(self, thread: _Thread, done: list[Update | Evaluation]) -> None:
        if thread.evaluation is not None:
            done.append(thread.evaluation)
            thread.evaluation = None

    def _evaluated(self, thread: _Thread, event: ev.Evaluated, done: list[Update | Evaluation]) -> bool:
        self._to_evaluation(thread)
        last = thread.evaluation.tallies[-1:] if thread.evaluation is not None else []
        if any((told.loader, told.number) != (event.loader, event.number) for told in last):
            self._close_evaluation(thread, done)
        if thread.evaluation is None:
            thread.evaluation = Evaluation(self.updates, rank=event.rank, thread=event.thread)
        thread.evaluation.tallies.append(event)
        thread.evaluation.batches = max(thread.evaluation.batches, event.batches)
        thread.evaluation.loader = event.loader
        thread.evaluation.number = event.number
        return True

    def _fetched(self, thread: _Thread, event: ev.BatchFetched, done: list[Update | Evaluation]) -> bool:
        if event.loader == thread.window or thread.window is None or thread.unfed or self._is_back(thread, event):
            self._close_manual(thread, done)
            self._to_evaluation(thread)
            thread.passes = {}
            thread.window, thread.unfed = event.loader, False
        thread.passes[event.loader] = self._numbers.get(event.loader, 1)
        return False

    def _is_back(self, thread: _Thread, event: ev.BatchFetched) -> bool:
        """After a few batches of another loader that were only judged: the loader that feeds training goes on."""
        return (
            event.loader in thread.fed
            and thread.window not in thread.fed
            and thread.fresh
            and bool(thread.quiet)
            and not thread.calls
            and all(call.model in self._trained and not call.training for call in thread.quiet)
        )

    def _pass_started(self, thread: _Thread, event: ev.PassStarted, _done: list[Update | Evaluation]) -> bool:
        self._numbers[event.loader] = event.number
        if thread.fresh and not (thread.window and thread.unfed):  # loaders side by side: the first one leads
            self._to_evaluation(thread)
            thread.window, thread.unfed = event.loader, True
        return False

    def _pass_ended(self, thread: _Thread, event: ev.PassEnded, done: list[Update | Evaluation]) -> bool:
        if event.loader == thread.window:
            self._close_manual(thread, done)
            self._to_evaluation(thread)
            self._close_evaluation(thread, done)
            thread.window, thread.unfed = None, False
        return False

    def _stretch(self, thread: _Thread, event: ev.Stretch, done: list[Update | Evaluation]) -> bool:
        self._close_manual(thread, done)
        self._close_evaluation(thread, done)
        self.updates += event.updates
        self.rounds += event.updates
        for loader, (_first, last) in event.passes.items():
            self._numbers[loader] = last
        self._threads[event.thread] = _Thread(window=thread.window, passes=thread.passes, fed=frozenset(thread.passes))
        return True


#: Events that tell of objects or of the watch itself and belong to no update.
_ASIDE = (
    ev.ModelSeen,
    ev.OptimizerSeen,
    ev.SchedulerSeen,
    ev.LoaderSeen,
    ev.LoaderMade,
    ev.LoaderStudied,
    ev.SamplesSeen,
    ev.LookTaken,
    ev.Probed,
    ev.ModelWrapped,
    ev.Defect,
    ev.RunEnded,
    ev.StateKept,
    ev.ChildStarted,
    ev.CompilingStarted,
)


#: Events that, with no round under way, belong to an evaluation rather than to the next update.
_OF_EVALUATIONS = (ev.ModelCalled, ev.LossComputed, ev.BatchFetched, ev.GradientsDisabled, ev.PassStarted, ev.PassEnded)


def _keep(items: list[_T], item: _T, most: int) -> None:
    if len(items) < most:
        items.append(item)
