"""Ending a script once enough of its training was seen.

It ends as by ``sys.exit()``: ``finally`` blocks and exit handlers run, and nothing is printed. It
is raised where an update ends, in the thread that trains, and again at the next such place should
the script have swallowed it.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from stepscope.observe.lane import Lane
    from stepscope.observe.session import Session

#: How many updates of a second epoch, or after an evaluation, are seen before the end.
MORE = 8
#: How much further the ranks of a launch may be than the first one when that calls the end.
HEADWAY = 4
#: The file in the record by which the first rank tells the others after which update to end.
CALL = "stop-after"


@dataclass(frozen=True)
class Limits:
    """When enough was seen: after ``updates``, or ``seconds`` past the first update.

    ``patient``: not before one evaluation and the start of a second epoch were seen as well,
    where the script has them. Without any optimizer step, rounds of backward are counted.
    """

    updates: int = 200
    seconds: float | None = 60.0
    patient: bool = True


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

    def round_done(self, session: Session, lane: Lane) -> None:
        """A backward ended: an update does with it where no optimizer steps, or one did inside."""
        self._rounds += 1
        inside, self._inside = self._inside, False
        if not lane.stepping and (inside or not session.owners_seen):
            self._ask(session, lane)

    def step_done(self, session: Session, lane: Lane) -> None:
        """An optimizer's step ended."""
        self._inside = lane.backwards > 0
        if not lane.stepping and not lane.backwards:
            self._ask(session, lane)

    def _ask(self, session: Session, lane: Lane) -> None:
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

    def _enough(self, session: Session, updates: int) -> bool:
        limits = self._limits
        if limits.seconds is not None and time.monotonic() - (self._began or 0) >= limits.seconds:
            return True
        if self._second_epoch is None and session.epochs_begun > 1:
            self._second_epoch = updates
        if self._evaluated is None and session.notes.evaluations:
            self._evaluated = updates
        done = updates or (self._rounds // 2 if session.registry.has_optimizers else self._rounds)
        if done < limits.updates:
            return False
        if not limits.patient:
            return True
        if session.epochs_begun:  # a loader tells where its epochs end, and evaluations come before the next
            return self._second_epoch is not None and updates >= self._second_epoch + MORE
        seen = self._evaluated is not None and updates >= self._evaluated + MORE
        return seen or done >= 2 * limits.updates
