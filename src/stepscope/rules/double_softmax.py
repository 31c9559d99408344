"""Probabilities go into a cross-entropy, which takes the softmax once more.

What it sees: the input of a cross-entropy came out of a softmax over the classes (behind views and
casts, too), its rows are not negative and sum to 1; or a log-softmax whose operand is a softmax. A
log-softmax before a cross-entropy changes nothing and is no finding.

Why it hurts: numbers between 0 and 1 are all the logits that the second softmax ever sees, so it
can hardly tell the classes apart: the loss stays high, and the gradient shrinks by both softmaxes.

What to do: hand the raw scores to the loss, and take the softmax only where you need probabilities.

When to ignore it: where the second softmax is meant, as a very soft temperature.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from stepscope.checking.readings.losses import always, losses, made_at, number, other_lines, so_often
from stepscope.checking.rule import NothingToJudge, Rule, found
from stepscope.checking.words import figure

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepscope.checking.finding import Fact
    from stepscope.checking.readings.losses import Seen, Where
    from stepscope.checking.rule import Found
    from stepscope.record.lossfacts import Behind
    from stepscope.record.run import RankRun, Run

RULE = Rule(phase="loss", evidence="proof")

#: How far a sum of probabilities in half precision may be from 1.
TOLERANCE = 0.01
#: So many looks make values alone worth a word.
FEW = 4
#: What takes the logarithm of a softmax: ``Categorical(logits=...)`` sums exponentials by itself.
_NORMALISERS = {"LogSoftmax", "Logsumexp"}


def check(run: Run) -> Iterator[Found]:
    calls = list(losses(run.main, "cross_entropy"))
    by_hand = list(_by_hand(run.main))
    if not calls and not by_hand and not any(losses(run.main)):
        raise NothingToJudge("no loss function of torch was seen with gradients")
    told: set[Where] = set()
    for seen in always(calls, _probabilities):
        told.update(call.place for call in seen)
        made_by_softmax = all(call.maker is not None and call.maker.operation == "Softmax" for call in seen)
        if made_by_softmax or len(seen) >= FEW:
            yield _tell(seen, made_by_softmax=made_by_softmax)
    for place, update, behind in by_hand:
        if place not in told:
            told.add(place)
            yield found(
                place,
                update,
                f"a softmax is taken of what a softmax made{made_at(behind, place)}: probabilities are no scores, "
                "and the "
                "second softmax can hardly tell them apart",
                remedy="- {line}\n+ (the same, of the raw scores)",
            )


def _probabilities(call: Seen) -> bool:
    """Whether a prediction with gradients holds rows that are not negative and sum to 1."""
    rows, prediction = call.facts.rows, call.loss.prediction
    if not rows or rows[0].size < 2 or prediction is None or prediction.low is None or not call.facts.prediction_grad:
        return False
    sums = (number(rows[0].low), number(rows[0].high))
    return number(prediction.low) >= 0.0 and all(abs(total - 1.0) <= TOLERANCE for total in sums)


def _by_hand(main: RankRun) -> Iterator[tuple[Where, int, Behind]]:
    """Log-softmaxes of a softmax over the same dimension, outside the known losses."""
    for update in main.looks:
        for one in update.look.softmaxes if update.look is not None else ():
            behind = one.behind
            if one.operation not in _NORMALISERS or behind is None or behind.operation != "Softmax" or one.dim is None:
                continue
            over = one.dim % len(behind.shape) if behind.shape else None
            same = (
                over is not None and over == behind.dim and (one.operation == "Logsumexp" or one.shape == behind.shape)
            )
            if same and over is not None and behind.shape[over] > 1 and one.file is not None:
                yield (one.file, one.line), update.index, behind


def _tell(seen: list[Seen], *, made_by_softmax: bool) -> Found:
    first = seen[0]
    classes = first.facts.rows[0].size
    floor = math.log(math.e + classes - 1) - 1
    results = [number(call.loss.result) for call in seen if call.loss.result is not None]
    came = (
        f"came out of a softmax{made_at(first.maker, first.place)}" if made_by_softmax else "are probabilities already"
    )
    message = (
        f"cross_entropy takes the softmax itself, but its inputs {came}: every row is between 0 and 1 and sums to 1; "
        f"{so_often(seen)}{other_lines(seen)}. With {classes} classes"
    )
    facts: dict[str, Fact] = {"classes": classes, "looked_at": len(seen)}
    target = first.loss.target
    if target is not None and target.dtype.startswith(("int", "uint")) and not first.loss.options:
        message += f" the loss of a sample cannot fall below {figure(floor)}, however sure and right the model is"
        facts["floor"] = floor
        if results and first.loss.reduction == "mean":
            message += f" (lowest seen: {figure(min(results))})"
            facts["lowest"] = min(results)
    else:
        message += " the scores that it compares differ by 1 at most"
    return found(
        first.place,
        first.update.index,
        message,
        facts=facts,
        remedy="- (the softmax before the loss)\n+ (none: the loss wants the raw scores)\n  {line}",
        evidence="proof" if made_by_softmax else "strong",
    )


def bad() -> None:
    import torch
    from torch import nn

    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 4), nn.Softmax(dim=1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    inputs = torch.randn(128, 8)
    targets = inputs[:, :4].argmax(1)
    for start in range(0, 128, 16):
        predictions = model(inputs[start : start + 16])
        loss = nn.functional.cross_entropy(predictions, targets[start : start + 16])  # fires
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def good() -> None:
    import torch
    from torch import nn

    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 4))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    inputs = torch.randn(128, 8)
    targets = inputs[:, :4].argmax(1)
    for start in range(0, 128, 16):
        predictions = model(inputs[start : start + 16])
        loss = nn.functional.cross_entropy(predictions, targets[start : start + 16])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
