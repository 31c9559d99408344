"""Ending a script once enough of its training was seen.

It ends as by ``sys.exit()``: ``finally`` blocks and exit handlers run, and nothing is printed. It
is raised where an update ends, in the thread that trains, and again at the next such place should
the script have swallowed it.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any, Protocol

from stepscope.observe.schedule import MORE

if TYPE_CHECKING:
    from pathlib import Path

    from stepscope.observe.schedule import Limits

#: How much further the ranks of a launch may be than the first one when that calls the end.
HEADWAY = 4
#: The file in the record by which the first rank tells the others after which update to end.
CALL = "stop-after"


class Thread(Protocol):
    """What must be known of the thread that trains."""

    stepping: list[Any]
    backwards: int

    def let_go(self) -> None:
        """Listen to single operations no longer."""


class Training(Protocol):
    """What must be known of the training so far."""

    @property
    def updates(self) -> int:
        """The updates of all threads."""

    @property
    def evaluations(self) -> int:
        """The evaluations that were told."""

    @property
    def epochs_begun(self) -> int:
        """The most passes that any loader has begun."""

    @property
    def has_optimizers(self) -> bool:
        """Whether any optimizer is known."""

    @property
    def has_stepped(self) -> bool:
        """Whether any optimizer has stepped."""


class Stopper:
    """Counts what one process has trained and says when to end."""

    def __init__(self, limits: Limits, folder: Path, rank: int, ranks: int) -> None:
        """Count from nothing. Only rank 0 judges; the others of a launch end where it calls."""
        self.stopped = False
        self._limits = limits
        self._rank = rank
        self._ranks = ranks
        self._call = folder / CALL
        self._last: int | None = None  # the update after which to end
        self._rounds = 0
        self._inside = False  # a step ended inside the running backward
        self._began: float | None = None
        self._second_epoch: int | None = None  # updates made when it began
        self._evaluated: int | None = None  # updates made when the first evaluation was told

    def round_done(self, session: Training, lane: Thread) -> None:
        """A backward ended: an update does with it where no optimizer steps, or one did inside."""
        self._rounds += 1
        inside, self._inside = self._inside, False
        if not lane.stepping and (inside or not session.has_stepped):
            self._ask(session, lane)

    def step_done(self, session: Training, lane: Thread) -> None:
        """An optimizer's step ended."""
        self._inside = lane.backwards > 0
        if not lane.stepping and not lane.backwards:
            self._ask(session, lane)

    def _ask(self, session: Training, lane: Thread) -> None:
        """End the script if enough was seen.

        Raises:
            SystemExit: enough was seen.
        """
        if self._began is None:
            self._began = time.monotonic()
        updates = session.updates
        if self._last is None and self._rank == 0 and self._enough(session, updates):
            self._last = updates if self._ranks == 1 else self._tell_others(updates + HEADWAY)
        elif self._last is None and self._rank and self._call.exists():
            self._last = int(self._call.read_text() or 0)
        if self._last is not None and updates >= self._last:
            self.stopped = True
            lane.let_go()
            sys.exit()

    def _tell_others(self, last: int) -> int:
        partial = self._call.with_suffix(".part")
        partial.write_text(str(last))
        partial.replace(self._call)
        return last

    def _enough(self, session: Training, updates: int) -> bool:
        limits = self._limits
        if limits.seconds is not None and time.monotonic() - (self._began or 0) >= limits.seconds:
            return True
        if self._second_epoch is None and session.epochs_begun > 1:
            self._second_epoch = updates
        if self._evaluated is None and session.evaluations:
            self._evaluated = updates
        done = updates or (self._rounds // 2 if session.has_optimizers else self._rounds)
        if done < limits.updates:
            return False
        if not limits.patient:
            return True
        if session.epochs_begun:  # a loader tells where its epochs end, and evaluations come before the next
            return self._second_epoch is not None and updates >= self._second_epoch + MORE
        seen = self._evaluated is not None and updates >= self._evaluated + MORE
        return seen or done >= 2 * limits.updates
