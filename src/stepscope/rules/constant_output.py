"""The model gives the same output for every sample, although the samples and their targets differ.

What it sees: within each batch all outputs are equal, to the last digits, while inputs and targets
vary, and this lasts to the end; or the outputs come from a softmax over a dimension of size 1,
which always gives 1.

Why it hurts: an output that does not depend on the input can predict nothing but an average.

What to do: find where the samples become alike: a softmax over one number (take a sigmoid), the
state at a position that is the same in every row, units that are all dead, inputs multiplied away.

When to ignore it: where the model is meant to be a constant baseline.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from stepscope.checking.readings.losses import Seen, by_line, losses, number
from stepscope.checking.rule import NothingToJudge, Rule, found
from stepscope.checking.words import count, figure

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepscope.checking.readings.losses import Where
    from stepscope.checking.rule import Found
    from stepscope.record.run import RankRun, Run

RULE = Rule(phase="loss", evidence="strong")

#: What two outputs may differ by, relative to their size, and yet be equal.
ALIKE = 1e-6
#: It must last for so many looks and until this update at least; a layer that starts at zero moves sooner.
LOOKS, UPDATES = 6, 8
_OF_ONE = "the softmax runs over a dimension of size 1, and the softmax of a single number is 1"


def check(run: Run) -> Iterator[Found]:
    main = run.main
    calls = [call for call in losses(main) if call.facts.varies is not None and call.facts.prediction_grad]
    by_hand = list(_single_numbers(main))
    if not calls and not by_hand:
        raise NothingToJudge("no loss function of torch was given the outputs of several samples")
    told: set[Where] = set()
    for line in by_line(calls):
        ones = [call for call in line if _is_always_one(call)]
        alone = [call for call in line if _is_without_choice(call)]
        if len(alone) > 1:
            yield _tell_without_choice(alone)
        elif len(ones) > 1:
            told.add(_made_at(ones[-1]))
            yield _tell(line, ones)
        elif _lasts(line, alike := _alike_at_the_end(line)):
            yield _tell(line, alike)
    places = [place for place, _, _ in by_hand]
    for place in dict.fromkeys(places):
        if place not in told and places.count(place) > 1:
            update, shape = next((update, shape) for where, update, shape in by_hand if where == place)
            yield found(
                place,
                update,
                f"the model's output is 1 for all {shape[0]} samples of a batch, in all {places.count(place)} updates "
                f"that were looked at: {_OF_ONE}",
                facts={"samples": shape[0], "looked_at": places.count(place)},
            )


def _alike_at_the_end(line: list[Seen]) -> list[Seen]:
    """The last calls of a line that all gave the same output for every sample."""
    alike: list[Seen] = []
    for call in reversed(line):
        if not _is_alike(call):
            break
        alike.insert(0, call)
    return alike


def _lasts(line: list[Seen], alike: list[Seen]) -> bool:
    return len(alike) >= max(LOOKS, len(line) / 2) and alike[-1].update.index >= UPDATES


def _single_numbers(main: RankRun) -> Iterator[tuple[Where, int, list[int]]]:
    """Softmaxes of single numbers that are the output of a model; for losses written by hand, too."""
    for update in main.looks:
        look = update.look
        outputs = [one.outputs[0].shape for one in look.layers if one.parent < 0 and one.outputs] if look else []
        for one in look.softmaxes if look else ():
            single = one.dim is not None and one.dim < len(one.shape) and one.shape[one.dim] == 1
            if single and one.shape[0] > 1 and one.shape in outputs and one.operation == "Softmax" and one.file:
                yield (one.file, one.line), update.index, one.shape


def _is_without_choice(call: Seen) -> bool:
    """Whether a cross-entropy has a single class to choose from."""
    rows, shape = call.facts.rows, call.facts.given
    alone = call.loss.function == "cross_entropy" and bool(rows) and rows[0].size == 1 and bool(shape) and shape[0] > 1
    return alone and call.loss.result is not None and number(call.loss.result) == 0


def _tell_without_choice(alone: list[Seen]) -> Found:
    first = alone[0]
    shown = ", ".join(map(str, first.facts.given))
    return found(
        first.place,
        first.update.index,
        f"cross_entropy was given scores of shape ({shown}), one class to choose from: the softmax of a "
        f"single number is 1, so the loss was 0 in all {count(len(alone), 'update')} that were looked at, "
        "and nothing is learned",
        facts={"samples": first.facts.given[0], "looked_at": len(alone)},
        remedy="- {line}\n+ (the same with binary_cross_entropy_with_logits, or with one score for each class)",
    )


def _made_at(call: Seen) -> Where:
    maker = call.maker
    return (maker.file, maker.line) if maker is not None and maker.file is not None else call.place


def _is_always_one(call: Seen) -> bool:
    """Whether the outputs are what a softmax makes of single numbers."""
    maker = call.maker
    if maker is None or maker.operation != "Softmax" or maker.dim is None or not 0 <= maker.dim < len(maker.shape):
        return False
    return maker.shape[maker.dim] == 1 and _is_alike(call)


def _is_alike(call: Seen) -> bool:
    """Whether all samples of a call have the same output although inputs and targets differ."""
    facts, prediction = call.facts, call.loss.prediction
    if facts.varies is None or prediction is None or prediction.low is None or prediction.high is None:
        return False
    if not facts.given or facts.given[0] == 1 or not facts.behind or facts.behind[0].operation == "Embedding":
        return False  # one number shown as many, or a code that was looked up: no output of a net
    size = max(abs(number(prediction.low)), abs(number(prediction.high)))
    differ = [value is not None and number(value) > 0 for value in (facts.input_varies, facts.target_varies)]
    return all(differ) and math.isfinite(size) and number(facts.varies) <= ALIKE * size


def _tell(line: list[Seen], alike: list[Seen]) -> Found:
    first, last = alike[0], alike[-1]
    prediction = last.loss.prediction
    assert prediction is not None
    samples = last.facts.given[0]
    many = (
        f"{figure(number(prediction.mean), 4)} for every one of the {samples} samples"
        if prediction.mean is not None
        else ""
    )
    if last.facts.given[1:] not in ([], [1]):
        many = f"the same {last.facts.given[-1]} numbers for each of the {samples} samples"
    since = "in every update" if len(alike) == len(line) else f"from update {first.update.index} to the last"
    why = _OF_ONE if _is_always_one(last) else "nothing of the input comes through"
    return found(
        _made_at(last),
        first.update.index,
        f"the model's output is {many} of a batch, {since} that was looked at ({len(alike)} of them), although their "
        "inputs and "
        f"targets differ: {why}",
        facts={"samples": samples, "looked_at": len(alike), "until": last.update.index},
        # In half precision outputs may be equal for their rounding alone.
        evidence="hint" if prediction.dtype in {"float16", "bfloat16"} else "strong",
    )


def bad() -> None:
    import torch
    from torch import nn

    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 1), nn.Softmax(dim=1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    inputs = torch.randn(256, 8)
    targets = (inputs[:, :1] > 0).float()
    for start in range(0, 256, 16):
        predictions = model(inputs[start : start + 16])  # fires
        loss = nn.functional.binary_cross_entropy(predictions, targets[start : start + 16])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def good() -> None:
    import torch
    from torch import nn

    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 1), nn.Sigmoid())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    inputs = torch.randn(256, 8)
    targets = (inputs[:, :1] > 0).float()
    for start in range(0, 256, 16):
        predictions = model(inputs[start : start + 16])
        loss = nn.functional.binary_cross_entropy(predictions, targets[start : start + 16])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
