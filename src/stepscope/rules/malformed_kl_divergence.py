"""A KL divergence is given something that it does not take for a distribution.

What it sees: ``kl_div`` wants log-probabilities as its input, and probabilities as its target
(log-probabilities with ``log_target=True``). Here the input holds probabilities or raw scores, or
the target is of the other kind or no distribution at all.

Why it hurts: the result is no divergence. It can be far below 0, its minimum lies elsewhere than
where both agree, and its gradient pulls the wrong way.

What to do: give a ``log_softmax`` as the input, and a ``softmax`` as the target (or a
``log_softmax`` with ``log_target=True``).

When to ignore it: where input and target are log-densities of your own making.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepscope.checking.readings.losses import LINEAR, by_line, losses, made_at, number, so_often
from stepscope.checking.rule import NothingToJudge, Rule, found
from stepscope.checking.words import figure

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepscope.checking.readings.losses import Seen
    from stepscope.checking.rule import Found
    from stepscope.record.look import Summary
    from stepscope.record.lossfacts import Behind, Rows
    from stepscope.record.run import Run

RULE = Rule(phase="loss", evidence="proof")

#: How far a sum of probabilities in half precision may be from 1, and a log-probability above 0.
TOLERANCE, ABOVE = 0.02, 1e-3


def check(run: Run) -> Iterator[Found]:
    calls = list(losses(run.main, "kl_div"))
    if not calls:
        raise NothingToJudge("no KL divergence of torch was seen with gradients")
    for line in by_line(calls):
        if len(line) < 2:
            continue
        wrong = [_wrong(call) for call in line]
        kinds = {kind for kind in wrong if kind is not None}
        if kinds and all(kind is not None for kind in wrong):
            yield _tell(line, min(kinds))


#: What can be wrong -> what it says, and how it is mended.
_WORDS = {
    "input of probabilities": ("its input holds probabilities{at}, not their logarithms", "a log_softmax as the input"),
    "input of scores": ("its input holds raw scores{at}, no log-probabilities", "a log_softmax as the input"),
    "target of log-probabilities": (
        "its target holds log-probabilities{target}, which it takes for probabilities",
        "log_target=True",
    ),
    "target of scores": ("its target holds raw scores{target}, no probabilities", "a softmax as the target"),
    "target of probabilities": (
        "with log_target=True it wants log-probabilities, but its target holds probabilities{target}",
        "log_target=False, or a log_softmax as the target",
    ),
}


def _wrong(call: Seen) -> str | None:
    """What is wrong with the input or the target of a call, if anything."""
    given, target = call.loss.prediction, call.loss.target
    made = call.facts.behind[0] if call.facts.behind else None
    if _is_distribution(given, call.facts.rows) or (
        _within(given) and made is not None and made.operation == "Softmax"
    ):
        return "input of probabilities"
    above = given is not None and given.high is not None and number(given.high) > ABOVE
    if above and made is not None and made.operation in LINEAR:
        return "input of scores"
    if target is None or target.low is None or target.high is None:
        return None
    if call.loss.options.get("log_target"):
        return "target of probabilities" if _is_distribution(target, call.facts.target_rows) else None
    if number(target.low) >= -ABOVE:
        return None
    is_log = any(_near_one(rows.exp_low) and _near_one(rows.exp_high) for rows in call.facts.target_rows)
    return "target of log-probabilities" if is_log else "target of scores"


def _is_distribution(tensor: Summary | None, rows: list[Rows]) -> bool:
    """Whether rows are not negative and sum to 1 over a dimension of more than one."""
    if tensor is None or tensor.low is None or number(tensor.low) < 0:
        return False
    return any(row.size > 1 and _near_one(row.low) and _near_one(row.high) for row in rows)


def _near_one(total: object) -> bool:
    return abs(number(total) - 1) <= TOLERANCE


def _within(tensor: Summary | None) -> bool:
    if tensor is None or tensor.low is None or tensor.high is None:
        return False
    return number(tensor.low) >= 0 and number(tensor.high) <= 1 + ABOVE and number(tensor.high) > ABOVE


def _tell(line: list[Seen], kind: str) -> Found:
    first = line[0]
    what, mend = _WORDS[kind]
    made: Behind | None = first.facts.target_behind[0] if first.facts.target_behind else None
    told = what.format(at=made_at(first.maker, first.place), target=made_at(made, first.place))
    results = [number(call.loss.result) for call in line if call.loss.result is not None]
    message = f"this kl_div is no divergence: {told}; {so_often(line)}"
    if results:
        below = ", although a divergence is never below 0" if min(results) < -ABOVE else ""
        message += f". Its terms came to {figure(results[0])} first and {figure(results[-1])} last{below}"
    return found(
        first.place,
        first.update.index,
        message,
        facts={"what": kind, "results": results[:8], "looked_at": len(line)},
        remedy=f"- {{line}}\n+ (the same with {mend})",
    )


def bad() -> None:
    import torch
    from torch import nn

    torch.manual_seed(0)
    teacher = nn.Linear(8, 4)
    model = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 4))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    inputs = torch.randn(128, 8)
    for start in range(0, 128, 16):
        batch = inputs[start : start + 16]
        with torch.no_grad():
            wanted = 3 * teacher(batch)
        given = model(batch).softmax(1)
        loss = nn.functional.kl_div(given, wanted.softmax(1), reduction="batchmean")  # fires
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def good() -> None:
    import torch
    from torch import nn

    torch.manual_seed(0)
    teacher = nn.Linear(8, 4)
    model = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 4))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    inputs = torch.randn(128, 8)
    for start in range(0, 128, 16):
        batch = inputs[start : start + 16]
        with torch.no_grad():
            wanted = 3 * teacher(batch)
        given = model(batch).log_softmax(1)
        loss = nn.functional.kl_div(given, wanted.softmax(1), reduction="batchmean")
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
