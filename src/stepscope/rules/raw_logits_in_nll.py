"""A negative log-likelihood is given something that is no log-probability.

What it sees: the exponentials of the rows that go into ``nll_loss`` do not sum to 1. The rows are
raw scores (made by a linear layer or a convolution, or partly above 0), or they are probabilities
without their logarithm.

Why it hurts: ``nll_loss`` only picks the number of the right class and turns its sign. Raw scores
can be pushed up without end, all classes at once, so the loss falls below 0 and says nothing; of a
probability the gradient is weakest where the model is most wrong.

What to do: put a log-softmax before it, or use ``cross_entropy``, which does both.

When to ignore it: where the scores are log-densities, not the log-probabilities of classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepscope.checking.readings.losses import LINEAR, always, losses, made_at, number, other_lines, so_often
from stepscope.checking.rule import NothingToJudge, Rule, found
from stepscope.checking.words import figure

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepscope.checking.finding import Evidence
    from stepscope.checking.readings.losses import Seen
    from stepscope.checking.rule import Found
    from stepscope.record.run import Run

RULE = Rule(phase="loss", evidence="proof")

#: How far a sum of probabilities in half precision may be from 1.
TOLERANCE = 0.02
_LOGARITHMS = ("LogSoftmax", "Log", "LogSigmoid", "Logsumexp", "Log1P", "Logaddexp")


def check(run: Run) -> Iterator[Found]:
    calls = list(losses(run.main, "nll_loss"))
    if not any(losses(run.main)):
        raise NothingToJudge("no loss function of torch was seen with gradients")
    for seen in always(calls, _is_no_log_probability):
        probabilities = all(_is_probability(call) for call in seen)
        evidence = _evidence(seen, probabilities=probabilities)
        if evidence is not None:
            yield _tell(seen, evidence, probabilities=probabilities)


def _is_no_log_probability(call: Seen) -> bool:
    if not call.facts.rows or call.facts.rows[0].size < 2 or not call.facts.prediction_grad:
        return False
    rows = call.facts.rows[0]
    low, high = number(rows.exp_low), number(rows.exp_high)
    return abs(low - 1) > TOLERANCE or abs(high - 1) > TOLERANCE


def _is_probability(call: Seen) -> bool:
    rows, prediction = call.facts.rows[0], call.loss.prediction
    if prediction is None or prediction.low is None:
        return False
    sums = (number(rows.low), number(rows.high))
    return number(prediction.low) >= 0 and all(abs(total - 1) <= TOLERANCE for total in sums)


def _evidence(seen: list[Seen], *, probabilities: bool) -> Evidence | None:
    makers = {call.maker.operation for call in seen if call.maker is not None}
    if probabilities or (makers and makers <= LINEAR):
        return "proof"
    behind = {behind.operation for call in seen for behind in call.facts.behind[:3]}
    if behind & set(_LOGARITHMS):  # log-probabilities that were weighted, restricted or tempered
        return None
    above = all(c.loss.prediction and c.loss.prediction.high and number(c.loss.prediction.high) > 0 for c in seen)
    return "strong" if above else "hint"


def _tell(seen: list[Seen], evidence: Evidence, *, probabilities: bool) -> Found:
    first = seen[0]
    at = made_at(first.maker, first.place)
    results = [number(call.loss.result) for call in seen if call.loss.result is not None]
    if probabilities:
        told = f"nll_loss wants log-probabilities, but its rows are probabilities{at}: not negative, and they sum to 1"
        costs = "The loss is minus the probability of the right class, and its gradient does not grow with the mistake"
    else:
        lowest = min(number(call.facts.rows[0].exp_low) for call in seen)
        highest = max(number(call.facts.rows[0].exp_high) for call in seen)
        told = (
            f"nll_loss wants log-probabilities, but its rows are raw scores{at}: their exponentials sum to "
            f"{figure(lowest)} to {figure(highest)} instead of 1"
        )
        costs = "Nothing keeps the scores from growing"
    if results:
        sign = ", and a negative log-likelihood of classes is never below 0" if min(results) < 0 else ""
        costs += f" (the loss went from {figure(results[0])} to {figure(results[-1])}{sign})"
    return found(
        first.place,
        first.update.index,
        f"{told}; {so_often(seen)}{other_lines(seen)}. {costs}",
        facts={"probabilities": probabilities, "losses": results[:8], "looked_at": len(seen)},
        remedy="- {line}\n+ (the same with torch.nn.functional.cross_entropy, of the raw scores)",
        evidence=evidence,
    )


def bad() -> None:
    import torch
    from torch import nn

    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 4))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    inputs = torch.randn(128, 8)
    targets = inputs[:, :4].argmax(1)
    for start in range(0, 128, 16):
        scores = model(inputs[start : start + 16])
        loss = nn.functional.nll_loss(scores, targets[start : start + 16])  # fires
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def good() -> None:
    import torch
    from torch import nn

    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 4), nn.LogSoftmax(dim=1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    inputs = torch.randn(128, 8)
    targets = inputs[:, :4].argmax(1)
    for start in range(0, 128, 16):
        scores = model(inputs[start : start + 16])
        loss = nn.functional.nll_loss(scores, targets[start : start + 16])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
