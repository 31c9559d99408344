"""Update after update is fed the same batch, although there is more data.

What it sees: many updates in a row whose model was given samples with equal values: the one batch
that was ever taken from a loader with more of them, a small slice of a larger tensor, or samples
that are drawn anew each time and always turn out the same. Training on all data at once is no
repetition, and neither is a test whether a model can learn one batch by heart, after which it, or
another one, is trained on more.

Why it hurts: the model sees a handful of samples. The loss falls fast, and the model is useless.

What to do: take the next batch inside the loop; seed generators once, before it.

When to ignore it: where learning one batch by heart is the whole test.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepscope.checking.readings.batches import data_of
from stepscope.checking.rule import NothingToJudge, Rule, found
from stepscope.checking.words import count

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepscope.checking.readings.batches import Batch, Call, Data
    from stepscope.checking.rule import Found
    from stepscope.record.run import Run

RULE = Rule(phase="data", evidence="strong")

#: So many equal updates in a row are looked into.
FEWEST = 12
#: A slice of a larger tensor is a batch where it is no more than this share of it.
SLICE = 0.5


def check(run: Run) -> Iterator[Found]:
    data = data_of(run.main)
    calls: dict[str, list[Call]] = {}
    for call in data.calls:
        if call.training and call.event.grad and call.marks:
            calls.setdefault(call.event.model, []).append(call)
    if not calls:
        raise NothingToJudge("no training batch was seen")
    for made in calls.values():
        firsts = _one_an_update(made)
        if len(firsts) >= FEWEST and len({_way(call) for call in firsts}) == 1:
            told = _tell(data, firsts)
            if told is not None:
                yield told
                return


def _one_an_update(calls: list[Call]) -> list[Call]:
    return list({call.update: call for call in reversed(calls)}.values())[::-1]


def _way(call: Call) -> tuple[object, ...]:
    return tuple(tuple(mark.samples) for mark in call.marks)


def _several(call: Call) -> bool:
    """Whether the batch holds several samples that differ, and not as a grid or a range does."""
    mark = call.marks[0]
    values = [float(value) for value in mark.values]
    rising = bool(values) and values in (sorted(values), sorted(values, reverse=True))
    gridlike = mark.floats and not mark.values and float(mark.grain) < 0.25
    return len(set(mark.samples)) > 1 and not rising and not gridlike


def _tell(data: Data, calls: list[Call]) -> Found | None:
    """What is told of updates that were all fed the same samples; None where that may be right."""
    first = calls[0]
    samples = first.marks[0].shape[0]
    batch = _source(data, first)
    if batch is not None:
        batches = data.batches_in.get(batch.event.loader)
        others = {call.event.model for call in data.calls if call.training and _way(call) != _way(first)}
        if (batches is not None and batches < 2) or (others and not _evaluated_on_more(data, calls)):
            return None
        passes = sum(one.loader == batch.event.loader for one in data.passes)
        strong = passes > 1 or _evaluated_on_more(data, calls) or _others_fetched(data, batch)
        of = f" of the {batches:,} that its loader has" if batches else " of its loader"
        return _found(calls, f"the {samples:,} samples of one batch{of}", strong=strong)
    if not _several(first):
        return None
    seen = [call.seen for call in calls if call.seen is not None]
    asked = [one.held for one in seen if one.held is not None]
    if len(asked) < 2 or any(asked):
        return None  # the script keeps as many samples as it trains on: they are all it has
    parts = [one.part for one in seen if one.part is not None]
    if parts and all(float(part) <= SLICE for part in parts):
        return _found(calls, f"the same {samples:,} samples, {float(parts[0]):.1%} of the tensor they are cut from")
    if parts:
        return None
    return _found(calls, f"the same {samples:,} samples, put together anew each time with equal values")


def _source(data: Data, call: Call) -> Batch | None:
    """The batch of a loader that holds the samples a call was given."""
    given = {tuple(mark.samples) for mark in call.marks}
    return next(
        (
            batch
            for one in data.passes
            for batch in one.batches
            if any(tuple(mark.samples) in given for mark in batch.marks if len(mark.samples) > 1)
        ),
        None,
    )


def _evaluated_on_more(data: Data, calls: list[Call]) -> bool:
    """Whether the model was evaluated on other samples while it was trained on these."""
    first, last = calls[0], calls[-1]
    return any(
        not call.training
        and call.event.model == first.event.model
        and call.marks
        and _way(call) != _way(first)
        and first.update <= call.update < last.update
        for call in data.calls
    )


def _others_fetched(data: Data, batch: Batch) -> bool:
    """Whether further batches were fetched in training, and not used."""
    return any(
        other.event.loader == batch.event.loader
        and other.call is not None
        and other.call.training
        and [mark.samples for mark in other.marks] != [mark.samples for mark in batch.marks]
        for one in data.passes
        for other in one.batches
    )


def _found(calls: list[Call], what: str, *, strong: bool = True) -> Found:
    return found(
        calls[0].event,
        calls[0].update,
        f"all of {count(len(calls), 'update')} train this model on {what}",
        facts={"updates": len(calls), "samples": calls[0].marks[0].shape[0]},
        evidence=None if strong else "hint",
    )


def bad() -> None:
    import torch
    from torch import nn
    from torch.utils.data import DataLoader, TensorDataset

    torch.manual_seed(3)
    inputs = torch.randn(48, 4)
    targets = inputs.sum(1, keepdim=True)
    loader = DataLoader(TensorDataset(inputs[:32], targets[:32]), batch_size=8, shuffle=True)
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    batch, target = next(iter(loader))
    for _epoch in range(3):
        for _step in range(4):
            loss = nn.functional.mse_loss(model(batch), target)  # fires
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            nn.functional.mse_loss(model(inputs[32:]), targets[32:]).item()


def good() -> None:
    import torch
    from torch import nn
    from torch.utils.data import DataLoader, TensorDataset

    torch.manual_seed(3)
    inputs = torch.randn(48, 4)
    targets = inputs.sum(1, keepdim=True)
    loader = DataLoader(TensorDataset(inputs[:32], targets[:32]), batch_size=8, shuffle=True)
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for _epoch in range(3):
        for batch, target in loader:
            loss = nn.functional.mse_loss(model(batch), target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            nn.functional.mse_loss(model(inputs[32:]), targets[32:]).item()
