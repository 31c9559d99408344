"""When an update is looked at closely, and when it is only noted.

The first updates closely, then ever more rarely: a run of any length has a bounded number of
looks, and what a reader sees first is what happened first.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from typing import Literal

#: How many updates of a second epoch, or after something new, are noted in full in a thorough watch.
MORE = 8

Looks = int | Literal["auto", "all"]


@dataclass(frozen=True)
class Limits:
    """When enough was seen: after ``updates``, or ``seconds`` past the first update.

    ``patient``: not before one evaluation and the start of a second epoch were seen as well,
    where the script has them. Without any optimizer step, rounds of backward are counted.
    """

    updates: int = 200
    seconds: float | None = 60.0
    patient: bool = True


@dataclass(frozen=True)
class Plan:
    """How closely to watch.

    ``looks`` is ``auto``, ``all``, or how many updates from the first are looked at closely. A
    regular loop is noted in full every ``note_every`` updates, ever more rarely as the run grows.
    Targets are compared with predictions in the first ``judge_first`` updates, then in one of
    ``judge_every``. After ``sparse_after`` updates most updates of a regular loop are only counted, and the loss of
    one in ``glimpse_every`` is read (a prime, so that it does not keep step with the epochs); every ``attend_every`` of
    them the loop is followed for a few updates, to see whether it is still the same. ``thorough`` is how many updates
    from the first are watched for the rules of ``check``: noted in full, with what their batches held, and with one
    more forward on copies; 0 where nothing is checked. ``limits`` says when the script is ended, ``probe`` whether
    that forward may be made.
    """

    looks: Looks = "auto"
    first: int = 8
    growth: float = 1.4
    first_epochs: int = 8
    note_every: int = 256
    judge_first: int = 1000
    judge_every: int = 8
    sparse_after: int = 2000
    glimpse_every: int = 31
    attend_every: int = 310
    thorough: int = 0
    limits: Limits | None = None
    probe: bool = True

    def looks_at(self, update: int, previous: int) -> bool:
        """Whether update number ``update`` (from 1) is looked at, the last look being ``previous``."""
        if self.looks == "all":
            return True
        if isinstance(self.looks, int):
            return update <= self.looks
        return update <= self.first or update >= previous * self.growth

    def next_look(self, done: int, previous: int) -> int:
        """The first update after ``done`` that is looked at."""
        if self.looks == "all":
            return done + 1
        if isinstance(self.looks, int):
            return done + 1 if done < self.looks else sys.maxsize
        return done + 1 if done < self.first else max(done + 1, math.ceil(previous * self.growth))

    def next_note(self, done: int) -> int:
        """The next update after ``done`` that is noted in full although the loop is regular."""
        return done + max(self.note_every, done // 4)

    def looks_at_epoch(self, epoch: int, previous: int) -> bool:
        """Whether the first update of pass ``epoch`` (from 1) is looked at for being that."""
        return self.looks == "auto" and (epoch <= self.first_epochs or epoch >= previous * self.growth)

    def judges(self, update: int) -> bool:
        """Whether the targets of this update are compared with the predictions."""
        return update <= self.judge_first or update % self.judge_every == 0
