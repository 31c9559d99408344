"""The scores that go into a cross-entropy passed through a ReLU.

What it sees: the last operation before the loss that makes numbers is a rectifier, and no score is
below 0.

Why it hurts: a score cannot say no. A binary model gives no probability below 0.5; with several
classes all that are ruled out share the score 0, where no gradient flows, so a class whose score is
0 for every sample may never come back.

What to do: drop the activation behind the last layer.

When to ignore it: where scores are counts of evidence and are meant to be 0 or more.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from stepscope.checking.readings.losses import RECTIFIERS, always, losses, made_at, number, other_lines, so_often
from stepscope.checking.rule import NothingToJudge, Rule, found
from stepscope.checking.words import figure, share

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepscope.checking.readings.losses import Seen
    from stepscope.checking.rule import Found
    from stepscope.record.run import Run

RULE = Rule(phase="loss", evidence="strong")


def check(run: Run) -> Iterator[Found]:
    calls = list(losses(run.main, "cross_entropy", "binary_cross_entropy_with_logits"))
    if not calls:
        raise NothingToJudge("no cross-entropy of torch was seen with gradients")
    for seen in always(calls, _is_rectified):
        if any(_zeros(call) > 0 for call in seen):
            yield _tell(seen)


def _is_rectified(call: Seen) -> bool:
    prediction = call.loss.prediction
    made = call.maker is not None and call.maker.operation in RECTIFIERS
    return made and prediction is not None and prediction.low is not None and number(prediction.low) >= 0


def _zeros(call: Seen) -> float:
    zeros = call.loss.prediction.zeros if call.loss.prediction is not None else None
    return number(zeros) if zeros is not None else 0.0


def _tell(seen: list[Seen]) -> Found:
    first, worst = seen[0], max(seen, key=_zeros)
    binary = first.loss.function == "binary_cross_entropy_with_logits"
    message = (
        f"the scores for {first.loss.function} passed through a ReLU{made_at(first.maker, first.place)}: none is "
        "below 0; "
        f"{so_often(seen)}{other_lines(seen)}. "
    )
    if binary:
        message += (
            f"No sample can get a probability below 0.5, so a target of 0 costs {figure(math.log(2))} at least; "
            f"up to {share(_zeros(worst))} of the scores were exactly 0, where no gradient flows"
        )
    else:
        message += f"Up to {share(_zeros(worst))} of the scores were exactly 0, where no gradient flows"
    return found(
        first.place,
        first.update.index,
        message,
        facts={"zeros": _zeros(worst), "looked_at": len(seen)},
        remedy="- (the ReLU behind the last layer)\n+ (none: scores may be of any sign)\n  {line}",
    )


def bad() -> None:
    import torch
    from torch import nn

    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 4), nn.ReLU())
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
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    inputs = torch.randn(128, 8)
    targets = inputs[:, :4].argmax(1)
    for start in range(0, 128, 16):
        scores = model(inputs[start : start + 16])
        loss = nn.functional.cross_entropy(scores, targets[start : start + 16])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
