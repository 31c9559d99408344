"""The steps are so large that the loss jumps up and does not come back.

What it sees: the weights move by a large part of their own size in one step, the loss rises to a
multiple of what it was at the start and stays up for several updates, by more than the batches differ
anyway, and at the end it is no lower than at the start.

Why it hurts: the steps overshoot. What the model was initialised to is destroyed, units saturate or
die, and the rest of the training goes into coming back to where it began.

What to do: divide the learning rate by ten, and again; about 1e-3 suits Adam, 1e-2 to 1e-1 plain SGD;
warm up, and clip the gradients.

When to ignore it: in a test of learning rates that is meant to diverge. (Where one line makes
optimizers with several rates, that is taken for a search, and nothing is said.)
"""

from __future__ import annotations

import math
from statistics import median
from typing import TYPE_CHECKING

from stepscope.checking.readings.scaling import meetings
from stepscope.checking.rule import NothingToJudge, Rule, found
from stepscope.checking.words import figure
from stepscope.record import events as ev

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepscope.checking.rule import Found, Place
    from stepscope.record.run import RankRun, Run
    from stepscope.record.updates import Update

RULE = Rule(phase="clear and step", evidence="strong")

#: A step that changes all weight matrices by this part of their norm is no small one.
LARGE = 0.25
#: By so much the loss must have risen above that of the first update,
RISE = 2.0
#: in the median of so many updates in a row (a single batch may be a hard one),
ROW = 5
#: or by so much for good,
STAYS = 1.25
#: and to so much of it, at least, it must have come back only.
BACK = 0.95
#: The first loss is that of one batch: it may lie so many times the usual spread below the others by chance.
SPREADS = 2
#: Of a normal distribution, the standard deviation over the median distance from the median.
NORMAL = 1.4826
FEWEST = 8


def check(run: Run) -> Iterator[Found]:
    main = run.main
    judged = False
    for owner in main.optimizers:
        own = [u for u in main.updates if owner in u.owners and u.loss is not None and not _searches(u)]
        own = [u for u in own if len(u.rounds) == len(own[0].rounds)]  # the loss is the sum over them
        losses = [(u, float(u.loss)) for u in own if u.loss is not None]
        finite = [(u, loss) for u, loss in losses if math.isfinite(loss)]
        if len(finite) < FEWEST or any(loss < 0 for _, loss in finite) or finite[0][1] == 0:
            continue
        judged = True
        ratios = {u.index: ratio for u in own if (ratio := _ratio(u, owner)) is not None}
        if (
            not ratios
            or max(ratios.values()) < LARGE
            or _has_another_cause(main, owner)
            or _one_of_a_search(main, owner)
        ):
            continue
        if _rises_and_stays([loss for _, loss in finite]):
            yield from _judge(main, owner, finite, ratios)
    if not judged:
        raise NothingToJudge("no optimizer made enough steps on a loss that is known and never negative")


def _searches(update: Update) -> bool:
    """Whether the step tried several points by its closure: their losses are no measure of one."""
    return update.kind == "closure" and len(update.rounds) > 1


def _ratio(update: Update, owner: str) -> float | None:
    """The norm of what a step changed over that of the weights, over all matrices together."""
    looked = update.look.parameters if update.look is not None else []
    matrices = [
        p
        for p in looked
        if p.optimizer == owner and p.update_norm is not None and p.before is not None and len(p.before.shape) > 1
    ]
    weights = math.hypot(*(float(p.weight_norm or 0.0) for p in matrices))
    changes = math.hypot(*(float(p.update_norm or 0.0) for p in matrices))
    return changes / weights if weights > 0 and math.isfinite(changes) else None


def _has_another_cause(main: RankRun, owner: str) -> bool:
    """Whether the steps are large because of what the gradients hold: old ones, or the loss scale."""
    stale = sum(any(r.backward is not None and r.backward.stale for r in u.rounds) for u in main.updates)
    return stale > 1 or any(one.owner == owner for one in meetings(main))


def _one_of_a_search(main: RankRun, owner: str) -> bool:
    """Whether the line that made the optimizer made others, with other rates: a search is to find the good one."""
    made = [seen for seen in main.of(ev.OptimizerSeen) if seen.made and seen.file is not None]
    places = {(seen.file, seen.line) for seen in made if seen.id == owner}
    rates = {
        tuple(float(rate or 0.0) for rate in next(s for s in u.steps if s.optimizer == seen.id).rates)
        for seen in made
        if (seen.file, seen.line) in places
        for u in [next((u for u in main.updates if seen.id in u.owners), None)]
        if u is not None
    }
    return len(rates) > 1


def _tail(losses: list[float]) -> list[float]:
    return losses[-max(len(losses) // 4, 3) :]


def _rises_and_stays(losses: list[float]) -> bool:
    """Whether the loss rises above the first, for longer and by more than batches explain, and does not come back."""
    first = losses[0]
    if max(losses) < RISE * first:
        return False
    tail = _tail(losses)
    back = median(tail)
    if back < BACK * first:
        return False
    logs = [math.log(loss) for loss in tail if loss > 0]
    middle = median(logs)
    spread = math.exp(SPREADS * NORMAL * median(abs(one - middle) for one in logs))
    row = max(median(losses[start : start + ROW]) for start in range(1, len(losses) - ROW + 1))
    lower = sum(loss < first for loss in losses[1:])
    stays = back >= max(STAYS, spread) * first and lower <= len(losses) // 40
    return row >= RISE * spread * first or stays


def _judge(main: RankRun, owner: str, losses: list[tuple[Update, float]], ratios: dict[int, float]) -> Iterator[Found]:
    first = losses[0][1]
    peak, highest = max(losses, key=lambda one: one[1])
    tail = _tail([loss for _, loss in losses])
    back = median(tail)
    if _rate_is_raised(losses[0][0], peak, owner):
        return
    largest = max(ratios, key=ratios.__getitem__)
    optimizer = main.optimizer_name(owner)
    rates = [float(rate or 0.0) for u, _ in losses[:1] for s in u.steps if s.optimizer == owner for rate in s.rates]
    rate = max(rates, default=math.nan)
    at = _made_at(main, owner, losses[0][0])
    yield found(
        at,
        losses[0][0].index,
        f"the learning rate of {optimizer} ({figure(rate)}) is too high: one step changed the weights by "
        f"{figure(100 * ratios[largest])} % of their size (update {largest}), the loss rose from {figure(first)} to "
        f"{figure(highest)} (update {peak.index}) and is at {figure(back)} in the last {len(tail)} updates watched",
        facts={"optimizer": optimizer, "rate": rate, "change": ratios[largest], "first": first, "highest": highest},
    )


def _rate_is_raised(first: Update, peak: Update, owner: str) -> bool:
    """Whether the rate was raised on the way to the peak, as a range test does."""
    start = [float(rate or 0.0) for s in first.steps if s.optimizer == owner for rate in s.rates]
    end = [float(rate or 0.0) for s in peak.steps if s.optimizer == owner for rate in s.rates]
    return bool(start and end) and max(end) > 2 * max(start)


def _made_at(main: RankRun, owner: str, first: Update) -> Place:
    """Where the optimizer was made, with its rate; where that was not seen, its first step."""
    made = [seen for seen in main.of(ev.OptimizerSeen) if seen.id == owner and seen.made and seen.file is not None]
    return made[0] if made else next(step for step in first.steps if step.optimizer == owner)


def bad() -> None:
    import torch
    from torch import nn

    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 2))
    optimizer = torch.optim.Adam(model.parameters(), lr=3.0)  # fires
    inputs = torch.randn(192, 4)
    targets = (inputs[:, 0] + torch.randn(192) > 0).long()
    for start in range(0, 192, 16):
        loss = nn.functional.cross_entropy(model(inputs[start : start + 16]), targets[start : start + 16])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def good() -> None:
    import torch
    from torch import nn

    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 2))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.03)
    inputs = torch.randn(192, 4)
    targets = (inputs[:, 0] + torch.randn(192) > 0).long()
    for start in range(0, 192, 16):
        loss = nn.functional.cross_entropy(model(inputs[start : start + 16]), targets[start : start + 16])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
