"""One thread's progress through its training loop: noted in full, or briefly once it is regular."""

from __future__ import annotations

import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from torch import Tensor

from stepscope.observe.evaluating import Evaluating
from stepscope.observe.gauge import Fetch
from stepscope.observe.pattern import OUTER, Node, Paths
from stepscope.observe.schedule import MORE
from stepscope.observe.tally import Tally
from stepscope.record import events as ev

if TYPE_CHECKING:
    from types import FrameType

    from torch.optim import Optimizer

    from stepscope.observe.looks.graph import Answers
    from stepscope.observe.looks.looking import Looking
    from stepscope.observe.looks.operations import Operations
    from stepscope.observe.notes import Notes
    from stepscope.observe.registry import Registry
    from stepscope.observe.schedule import Plan
    from stepscope.observe.thorough.modes import Called

#: A path is known once this many updates have taken it.
FAMILIAR = 2
#: A stretch is told after this many seconds at the latest, so that a kill loses little.
MOST_SECONDS = 2.0
#: Without a loader there are no epochs: a stretch is then told after so many updates, or a
#: twentieth of the run, so that a table of the run has rows.
BLOCK = 16
#: A loop falls asleep after this many updates in which nothing happened around it.
LULL = 2
#: From this many stretches on, each must be a thousandth of the run: the record stays bounded.
MANY_STRETCHES = 1500
#: A loop that strays from its paths more often than this is told briefly all the same.
MOST_WAKES = 64

_clock = time.perf_counter


#: A step that is running: of which optimizer, in which frame, inside what, and whether again.
_Step: TypeAlias = tuple[Any, int, Literal["", "step", "backward"], bool]


class Watcher(Protocol):
    """What a lane asks of the watch it belongs to."""

    notes: Notes
    plan: Plan
    registry: Registry
    compiled: bool
    owners_seen: set[str]

    @property
    def sleeps(self) -> bool:
        """Whether the loop is only counted."""

    def sleep(self, lane: Lane) -> None:
        """Only count from here on."""

    def rouse(self) -> None:
        """Count no longer, listen."""

    def woke(self) -> None:
        """A lane notes in full again."""

    def dozed(self) -> None:
        """A lane became brief."""

    def only_lane(self, lane: Lane) -> bool:
        """Whether no other thread trains."""

    def new_look(self) -> Looking:
        """A close look at the update that begins."""

    def replay(self, event: ev.AnyEvent, value: float | None) -> None:
        """Note again what happened along a known path."""

    def tell_stretch(
        self,
        event: ev.Stretch,
        tallies: dict[str, Tally],
        owners: list[str],
        answers: list[tuple[str, Answers]],
        fetch: Fetch,
    ) -> None:
        """Put a stretch into the record."""


class Lane:
    """What one thread is doing. ``brief`` is set while its updates go along known paths."""

    def __init__(self, session: Watcher, number: int) -> None:
        """Begin in full."""
        self.session = session
        self.number = number
        self.brief = False
        self.within: Literal["", "step", "backward"] = ""
        self.depth = 0  # of module calls
        self.called: Called | None = None  # what user code calls, in a thorough watch
        self.quiet = 0  # depth of modes that are being switched
        self.stepping: list[_Step] = []  # the optimizers whose step is running
        self.backwards = 0  # depth of backward
        self.stepped_inside: str | None = None  # by which optimizer, inside the running backward
        self.updates = 0
        self.standing = (-1, -1)  # how the gradients stood when the running step began
        self.look: Looking | None = None
        self.held: Operations | None = None  # listens to single operations until this round's backward
        self.loss: Any = None
        self.scaled: tuple[Any, Any, float | None] | None = None
        self.judged: Answers | None = None
        self.evaluating = Evaluating(session.notes, self)
        self.stray = False
        self._paths = Paths()
        self._node = self._paths.root
        self._path: list[tuple[Node, Any]] = []
        self._wakes = 0
        self._last_look = 0
        self._last_epoch_look = 0
        self._more_looks = 0
        self._epoch_due = False
        self._next_note = 0  # not brief again before this many updates
        self._inner_run = 0  # regular updates in which nothing happened but the loop's own steps
        self._slept = 0  # updates counted asleep since the loop was last followed
        self._plain_steps = True
        self._wake_at = 0  # not brief any longer after this many updates
        self._new_stretch()

    def _new_stretch(self) -> None:
        self._tallies: dict[str, Tally] = {}
        self._device_losses: list[tuple[str, Tensor]] = []
        self._device_answers: list[tuple[str, Answers]] = []
        self._passes: dict[str, tuple[int, int]] = {}
        self._count = 0
        self._since = _clock()

    # Along the path.

    def goes_on(self, key: int) -> bool:
        """While brief: whether ``key`` is a known next step. If not, this lane is awake again."""
        if self.session.sleeps:
            self.session.rouse()
        if key >= OUTER:
            self._inner_run = 0
        node = self._node
        child = node.children.get(key)
        if child is not None:
            self._node = child
            self._path.append((child, None))
            return True
        if node.key == key or self.stray:
            return True
        if self._wakes > MOST_WAKES + self.updates // MOST_WAKES:
            self.stray = True
            return True
        self._wakes += 1
        self.wake()
        return False

    def learn(self, key: int, event: ev.AnyEvent | None) -> None:
        """While noting in full: remember that the path went on by ``key``."""
        self._node = self._paths.learn(self._node, key, event)

    def wake(self) -> None:
        """Note in full from here on; tell what was seen of the update that is under way."""
        if self.session.sleeps:
            self.session.rouse()
        self.tell()
        self.brief = False
        attentive = MORE if self.updates < 5 * self.session.plan.thorough else 1
        self._next_note = self.updates + max(len(self.session.owners_seen), attentive)
        self.session.woke()
        loss = self.loss
        for node, value in self._path:
            if node.event is not None:
                self.session.replay(node.event, value)
        self._path.clear()
        self.loss = loss

    def remember_loss(self, value: float | None) -> None:
        """While brief: the loss that the last step of the path backpropagated."""
        if self._path:
            self._path[-1] = (self._path[-1][0], value)

    # Steps.

    def begin_step(self, optimizer: Optimizer) -> bool:
        """A step begins; True where it is the same step again, through ``super().step()``."""
        again = False
        self.let_go()
        if self.stepping:
            self.drop_stale_steps()
            again = any(step[0] is optimizer for step in self.stepping)
        self.stepping.append((optimizer, id(sys._getframe(2)), self.within, again))
        self.within = "step"
        return again

    def end_step(self, optimizer: Optimizer) -> bool:
        """A step ended; False where it was only a part of one that goes on."""
        while self.stepping:
            stepped, _frame, self.within, again = self.stepping.pop()
            if stepped is optimizer:
                return not again
        return True

    def drop_stale_steps(self) -> None:
        """Forget steps that an exception has left: their frame is no longer running."""
        running = set()
        frame: FrameType | None = sys._getframe(1)
        while frame is not None:
            running.add(id(frame))
            frame = frame.f_back
        while self.stepping and self.stepping[-1][1] not in running:
            self.within = self.stepping.pop()[2]

    def at_manual_end(self) -> bool:
        """While brief: whether the path ends here because nobody steps but the user's own code."""
        event = self._node.event
        if isinstance(event, ev.Backward):
            return not event.owners and event.unowned > 0
        return isinstance(event, ev.GradComputed) and event.parameters > 0 and not event.owners

    # Updates.

    def add_loss(self, value: Any) -> None:
        """Count what was backpropagated (a float, or a number on a device) into this update."""
        if value is not None:
            self.loss = value if self.loss is None else self.loss + value

    def finish_brief(self, owner: str) -> None:
        """An update ended along a known path."""
        tally = self._tallies.get(owner)
        if tally is None:
            tally = self._tallies[owner] = Tally()
        loss = self.loss
        if isinstance(loss, Tensor):
            self._device_losses.append((owner, loss))
        else:
            tally.add(loss)
        if self.judged is not None:
            self._device_answers.append((owner, self.judged))
            self.judged = None
        self.loss = None
        self._node = self._paths.root
        self._path.clear()
        self.stray = False
        self._inner_run += 1
        if self._count_some(1) and self._may_sleep():
            self.session.sleep(self)

    def finish_asleep(self, optimizers: list[Any]) -> None:
        """Updates ended of which only the steps were seen, and of the first perhaps the loss."""
        known = True
        for optimizer in optimizers:
            owner = self.session.registry.known_optimizer(optimizer)
            tally = self._tallies.get(owner)
            if tally is None:
                tally = self._tallies[owner] = Tally()
            loss, self.loss = self.loss, None
            known = known and owner in self.session.owners_seen
            if loss is None:
                tally.updates += 1
            elif isinstance(loss, Tensor):
                self._device_losses.append((owner, loss))
            else:
                tally.add(loss)
        self._slept += len(optimizers)
        if self._count_some(len(optimizers)) and self.session.sleeps:
            if not known:
                self.wake()
            elif self._slept >= self.session.plan.attend_every:
                self._inner_run = self._slept = 0
                self.session.rouse()

    def _count_some(self, updates: int) -> bool:
        """Count regular updates; False where the lane woke up with them."""
        self.updates += updates
        self._count += updates
        if self.updates >= self._wake_at or self._epoch_due:
            self.wake()
            self.begin()
            return False
        overdue = not self._passes and self._count >= max(BLOCK, self.updates // 20)
        if (overdue or _clock() - self._since > MOST_SECONDS) and not self._too_many():
            self.tell()
        return True

    def _may_sleep(self) -> bool:
        """Whether the loop is so regular that its updates need only be counted."""
        return (
            self._inner_run >= LULL
            and self.updates >= self.session.plan.sparse_after
            and self._plain_steps
            and not self.session.compiled  # compiled code guards what sleeping would exchange
            and self.session.only_lane(self)
        )

    def finish_in_full(self, *, plain: bool = False) -> None:
        """An update that was noted in full ended; the next may be brief.

        ``plain``: with one step of one optimizer, outside backward and without a closure.
        """
        self._plain_steps = self._plain_steps and plain
        self.updates += 1
        self._node.ends += 1
        familiar = self._node.ends >= FAMILIAR and self.updates >= self.session.plan.thorough
        self._node = self._paths.root
        self.loss = None
        self.judged = None
        self.look = None
        self._path.clear()
        if familiar and not self._look_is_due() and not self._epoch_due and self.updates >= self._next_note:
            self.brief = True
            self._since = _clock()
            plan = self.session.plan
            self._wake_at = min(plan.next_note(self.updates), plan.next_look(self.updates, self._last_look) - 1)
            self.session.dozed()
        else:
            self.begin()

    def _look_is_due(self) -> bool:
        return self._more_looks > 0 or self.session.plan.looks_at(self.updates + 1, self._last_look)

    def begin(self) -> None:
        """Decide how closely the update that now begins is looked at."""
        if self.look is not None or self.brief:
            return
        number = self.updates + 1
        plan = self.session.plan
        due = plan.looks_at(number, self._last_look)
        if due and number > plan.first:
            # Loops with several optimizers take turns: look at one update of each.
            self._more_looks = min(max(len(self.session.owners_seen), 1), 4)
        if due or self._more_looks or self._epoch_due:
            self._last_look = number
            self._more_looks = max(self._more_looks - 1, 0)
            self._epoch_due = False
            self.look = self.session.new_look()

    def let_go(self) -> None:
        """Something else begins than the loss of this round: listen to single operations no longer."""
        if self.held is not None and self.held.let_go():
            self.held = None

    # Passes over loaders.

    def pass_started(self, number: int) -> None:
        """A pass over a loader begins: its first update may be worth a look."""
        if self.session.plan.looks_at_epoch(number, self._last_epoch_look):
            self._last_epoch_look = number
            self._epoch_due = True
            if self.loss is None:  # nothing was backpropagated yet: this is the update that begins
                if self.brief:
                    self.wake()
                self.begin()

    def fed_by(self, loader: str, number: int) -> None:
        """While brief: a batch of pass ``number`` of ``loader`` was fetched."""
        known = self._passes.get(loader)
        if known is None:
            self._passes[loader] = (number, number)
        elif known[1] != number:
            if self._count and not self._too_many():
                self.tell()
                known = (number, number)
            self._passes[loader] = (known[0], number)

    def _too_many(self) -> bool:
        """Whether the record holds so many stretches that this one has to grow on."""
        return self.session.notes.stretches > MANY_STRETCHES and self._count < self.updates // 1000

    def tell_before_evaluation(self) -> bool:
        """While brief: tell the updates so far, unless the record holds too much already."""
        if self._too_many():
            return False
        self.tell()
        return True

    # Telling.

    def tell(self) -> None:
        """Write the updates since the last time as one stretch."""
        if not self._count:
            self._since = _clock()
            return
        tallies, losses, answers = self._tallies, self._device_losses, self._device_answers
        event = ev.Stretch(
            at=self.session.notes.now(),
            rank=self.session.notes.rank,
            thread=self.number,
            updates=self._count,
            seconds=_clock() - self._since,
            passes=self._passes,
        )
        self._new_stretch()
        numbers = [t for _, t in losses]
        for _, answer in answers:
            numbers += [answer.right, answer.of] if isinstance(answer.of, Tensor) else [answer.right]
        self.session.tell_stretch(event, tallies, [o for o, _ in losses], answers, Fetch(numbers))


def in_engine_thread() -> bool:
    """Whether this is a thread of the autograd engine, for a device."""
    # The engine's device threads are no Python threads: threading makes a dummy for them.
    return isinstance(threading.current_thread(), threading._DummyThread)


def fill_tallies(
    tallies: dict[str, Tally], owners: list[str], answers: list[tuple[str, Answers]], values: list[float]
) -> dict[str, ev.LossTally]:
    """Put numbers that came from a device into the tallies they belong to."""
    rest = iter(values)
    for owner in owners:
        tallies[owner].add(next(rest))
    for owner, answer in answers:
        tally = tallies[owner]
        tally.right += int(next(rest))
        tally.of += int(next(rest)) if isinstance(answer.of, Tensor) else answer.of
        tally.judged += 1
    return {owner: tally.told() for owner, tally in tallies.items()}
