"""What is noted, in order: into the assembler at once, onto the disk as soon as its numbers are here."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from stepscope.observe.quiet import unseen
from stepscope.record import events as ev
from stepscope.record.assemble import Assembler
from stepscope.record.updates import Evaluation

if TYPE_CHECKING:
    from collections.abc import Callable

    from stepscope.record.store import Writer

#: Events between two updates that are noted one by one: a loop that never steps must not fill the disk.
MOST_LOOSE = 10_000
_LOOSE = (
    ev.ModelCalled,
    ev.DropoutRan,
    ev.LossComputed,
    ev.Backward,
    ev.GradComputed,
    ev.GradientsCleared,
    ev.GradientsClipped,
    ev.GradientsDisabled,
    ev.ModeChanged,
    ev.PassStarted,
    ev.PassEnded,
    ev.BatchFetched,
    ev.SamplesSeen,
    ev.LoaderMade,
    ev.LoaderStudied,
    ev.Accuracy,
    ev.Evaluated,
    ev.StateMoved,
    ev.CheckpointMoved,
    ev.SchedulerStepped,
)
#: Events that wait to be written; before the first update none does, so that a kill loses little.
_MOST_WAITING = 64


class _Deferred:
    """An event whose numbers are still on a device: ``finish`` does not wait once it is ``ready``."""

    __slots__ = ("finish", "ready")

    def __init__(self, ready: Callable[[], bool], finish: Callable[[], ev.AnyEvent]) -> None:
        self.ready = ready
        self.finish = finish


class Notes:
    """The events of this process, on their way into the record."""

    def __init__(self, writer: Writer, rank: int) -> None:
        """Write to ``writer``; time begins now."""
        self.writer = writer
        self.rank = rank
        self.lock = threading.RLock()
        self.assembler = Assembler()
        self.stretches = 0
        self.evaluations = 0
        self.left_out = 0
        self._began = time.perf_counter()
        self._outbox: deque[ev.AnyEvent | _Deferred] = deque()
        self._loose = (0, 0)  # how many updates were made, and events noted since

    def now(self) -> float:
        """Seconds since the watch began, to the microsecond."""
        return round(time.perf_counter() - self._began, 6)

    def put(self, event: ev.AnyEvent) -> None:
        """Put an event into the record, in order, and into the assembler."""
        self._put(event, event)

    def put_later(self, event: Any, ready: Callable[[], bool], finish: Callable[[], ev.AnyEvent]) -> None:
        """Put ``event`` in its place now; what is written is what ``finish`` makes of it."""
        self._put(event, _Deferred(ready, finish))

    def _put(self, event: ev.AnyEvent, item: ev.AnyEvent | _Deferred) -> None:
        with self.lock:
            if self._crowded(event):
                return
            if isinstance(event, ev.Stretch):
                self.stretches += 1
            self._outbox.append(item)
            self.evaluations += sum(isinstance(done, Evaluation) for done in self.assembler.feed(event))
            if not self.assembler.updates or len(self._outbox) > _MOST_WAITING:
                self.flush()

    def _crowded(self, event: ev.AnyEvent) -> bool:
        """Whether so much has come since the last update that ``event`` is only counted."""
        if self.assembler.updates != self._loose[0]:
            self._loose = (self.assembler.updates, 0)
        updates, count = self._loose
        self._loose = (updates, count + 1)
        if count < MOST_LOOSE or not isinstance(event, _LOOSE):
            return False
        self.left_out += 1
        return True

    @unseen
    def flush(self, *, wait: bool = False) -> None:
        """Write what is ready, in order."""
        with self.lock:
            while self._outbox:
                item = self._outbox[0]
                if isinstance(item, _Deferred):
                    if not wait and not item.ready():
                        break
                    item = item.finish()
                self.writer.append(item)
                self._outbox.popleft()
            self.writer.flush()
