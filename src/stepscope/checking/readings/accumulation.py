"""Updates that accumulate: several backwards from one line lead to one step."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stepscope.checking.readings.loop import gathered
from stepscope.checking.rule import NothingToJudge

if TYPE_CHECKING:
    from stepscope.record.events import Backward
    from stepscope.record.look import LossLook
    from stepscope.record.run import RankRun
    from stepscope.record.updates import Round, Update


@dataclass(frozen=True)
class Window:
    """An update of ``owner`` whose rounds all ran backward on one line."""

    update: Update
    owner: str
    rounds: list[Round]

    @property
    def backward(self) -> Backward:
        """Its first backward."""
        first = self.rounds[0].backward
        assert first is not None
        return first

    @property
    def losses(self) -> list[LossLook]:
        """The losses of its rounds, where it was looked at closely."""
        return self.update.look.losses if self.update.look is not None else []

    @property
    def excess(self) -> float | None:
        """The norm of the gradient at the step over the norm that one round added on average."""
        looks = gathered(self.update, self.owner)
        if len(looks) != len(self.rounds):
            return None
        added = math.fsum(float(look.added) for look in looks) / len(looks)
        return float(looks[-1].after) / added if added > 0 and math.isfinite(added) else None


def windows(main: RankRun, owner: str) -> list[Window]:
    """The updates of an optimizer in which every round comes from one line of the script, one per step at least."""
    found = []
    for update in main.updates:
        if update.kind not in {"step", "closure"} or owner not in update.owners or update.rounds_left_out:
            continue
        rounds = [r for r in update.rounds if r.backward is not None and owner in r.backward.owners]
        if any(r.backward is not None and r.backward.within for r in rounds[1:]):
            continue  # a closure that is called several times, as LBFGS does
        lines = {(r.backward.file, r.backward.line) for r in rounds if r.backward is not None}
        if len(lines) == 1 and len(rounds) == len(update.rounds):
            found.append(Window(update, owner, rounds))
    return found


def accumulating(main: RankRun) -> dict[str, list[Window]]:
    """The windows of every optimizer that usually steps after several rounds.

    Raises:
        NothingToJudge: there is no such optimizer.
    """
    all_windows = {owner: windows(main, owner) for owner in main.optimizers}
    several = {owner: ones for owner, ones in all_windows.items() if usual_rounds(ones) > 1}
    if not several:
        raise NothingToJudge("no gradients were accumulated")
    return several


def usual_rounds(found: list[Window]) -> int:
    """How many rounds most of the windows have; 0 where no number is usual."""
    if not found:
        return 0
    usual, times = Counter(len(window.rounds) for window in found).most_common(1)[0]
    return usual if 2 * times > len(found) else 0


def rewritten(window: Window) -> bool:
    """Whether the gradient at the step is measured to be another than its last backward left.

    Not known, and False, where torch clipped or unscaled in between.
    """
    looks = gathered(window.update, window.owner)
    look = window.update.look
    if not looks or look is None or window.update.clips or window.update.scaling or len(looks) < len(window.rounds):
        return False
    held = [p for p in look.parameters if p.optimizer == window.owner]
    norms = [float(p.gradient_norm) for p in held if p.gradient_norm is not None]
    return not math.isclose(math.hypot(*norms), float(looks[-1].after), rel_tol=1e-3)
