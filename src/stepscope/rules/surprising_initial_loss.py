"""The very first loss is far above what guessing would cost.

What it sees: the first cross-entropy of a model that nothing was loaded into is much larger than
the logarithm of the number of classes (or, with two classes and logits, than 0.69), because the
scores spread far before anything was learned.

Why it hurts: the model begins sure of answers that mean nothing. The first updates only unlearn
that, with gradients that are large and mostly noise.

What to do: make the last layer's weights small (a standard deviation of 0.02, or of one over the
square root of its inputs); scale the inputs; with tied embeddings, initialise the embedding so.

When to ignore it: where the model was trained before, or the loss comes down within a few updates.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from stepscope.checking.readings.losses import losses, number
from stepscope.checking.rule import NothingToJudge, Rule, found
from stepscope.checking.words import figure
from stepscope.record import events as ev

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepscope.checking.readings.losses import Seen
    from stepscope.checking.rule import Found
    from stepscope.record.run import RankRun, Run

RULE = Rule(phase="loss", evidence="hint", severity="warning")

#: So many times what guessing costs, and so much more, is far above it.
TIMES, MORE = 1.8, 1.0


def check(run: Run) -> Iterator[Found]:
    main = run.main
    first = [call for call in losses(main, "cross_entropy", _BINARY) if call.update.index == 1 and call.loss.round == 0]
    if not first:
        raise NothingToJudge("the first update's loss is no cross-entropy of torch")
    if _was_trained(main):
        raise NothingToJudge("a model was loaded before the first update")
    for call in first:
        guess = _guess(call)
        if guess is None or call.loss.result is None:
            continue
        start = number(call.loss.result)
        if math.isfinite(start) and start > max(TIMES * guess, guess + MORE):
            yield _tell(main, call, guess, start)
            return


_BINARY = "binary_cross_entropy_with_logits"


def _was_trained(main: RankRun) -> bool:
    for event in main.events:
        if isinstance(event, ev.OptimizerStepped):
            return False
        if isinstance(event, (ev.StateMoved, ev.CheckpointMoved)) and event.action == "loaded":
            return True
    return False


def _guess(call: Seen) -> float | None:
    """What guessing costs, where that can be told."""
    loss = call.loss
    if loss.reduction != "mean" or loss.target is None or "weight" in loss.options or "pos_weight" in loss.options:
        return None
    if loss.function == _BINARY:
        return math.log(2)
    whole = loss.target.dtype.startswith(("int", "uint"))
    return math.log(call.facts.rows[0].size) if whole and call.facts.rows and call.facts.rows[0].size > 1 else None


def _tell(main: RankRun, call: Seen, guess: float, start: float) -> Found:
    later = [
        one for one in losses(main, str(call.loss.function)) if one.place == call.place and one.loss.result is not None
    ]
    below = next((one.update.index for one in later if number(one.loss.result) < guess), None)
    prediction = call.loss.prediction
    spread = f"; the scores spread by {figure(number(prediction.std))}" if prediction and prediction.std else ""
    what = f"with {call.facts.rows[0].size} classes" if call.facts.rows else "with two classes"
    came = f"it came below that by update {below}" if below else "it stayed above that as long as it was looked at"
    return found(
        call.place,
        call.update.index,
        f"the first loss is {figure(start)}, {figure(start / guess, 2)} x the {figure(guess)} that guessing costs "
        f"{what}{spread}: the "
        f"untrained model is sure of answers that mean nothing; {came}",
        facts={"loss": start, "guess": guess, "below_from": below},
    )


def bad() -> None:
    import torch
    from torch import nn

    torch.manual_seed(0)
    last = nn.Linear(32, 4)
    model = nn.Sequential(nn.Linear(8, 32), nn.Tanh(), last)
    nn.init.normal_(last.weight, std=2.0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    inputs = torch.randn(128, 8)
    targets = inputs[:, :4].argmax(1)
    for start in range(0, 128, 16):
        scores = model(inputs[start : start + 16])
        loss = nn.functional.cross_entropy(scores, targets[start : start + 16])  # fires
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def good() -> None:
    import torch
    from torch import nn

    torch.manual_seed(0)
    last = nn.Linear(32, 4)
    model = nn.Sequential(nn.Linear(8, 32), nn.Tanh(), last)
    nn.init.normal_(last.weight, std=0.1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    inputs = torch.randn(128, 8)
    targets = inputs[:, :4].argmax(1)
    for start in range(0, 128, 16):
        scores = model(inputs[start : start + 16])
        loss = nn.functional.cross_entropy(scores, targets[start : start + 16])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
