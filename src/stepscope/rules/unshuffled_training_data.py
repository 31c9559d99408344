"""Training goes through data that is sorted by label, and does not shuffle it.

What it sees: the training loader hands out its samples in the order in which they are stored, and the
labels lie in blocks: a batch holds far fewer classes than all batches together. Without a loader:
the same batches come in the same order in every epoch, with labels in blocks. Stored data
whose labels are mixed needs no shuffling for this rule's sake.

Why it hurts: the model is trained on one class, then on the next, and forgets the one before. Every
step follows a gradient that speaks for a single class; batch norm learns the statistics of the last.

What to do: ``shuffle=True`` in the training loader, or a new permutation in every epoch.

When to ignore it: where order is what is learned (a stream, a curriculum, tasks in turn).
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from stepscope.checking.readings.batches import data_of
from stepscope.checking.readings.sorting import sorting
from stepscope.checking.rule import NothingToJudge, Rule, found
from stepscope.checking.words import figure

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepscope.checking.readings.batches import Batch, Call, Data, Pass
    from stepscope.checking.readings.sorting import Sorting
    from stepscope.checking.rule import Found
    from stepscope.record.numbers import Number
    from stepscope.record.run import Run

RULE = Rule(phase="data", evidence="strong", severity="warning")

#: How far towards one class a window the labels must lie.
SORTED = 0.5
#: An epoch without a loader has at least so many batches.
FEWEST = 4


def check(run: Run) -> Iterator[Found]:
    data = data_of(run.main)
    if not any(call.training and call.marks for call in data.calls):
        raise NothingToJudge("no training batch was seen")
    told = set()
    for one in data.passes:
        made = data.loaders.get(one.loader)
        if made is None or not one.training or (made.made_file, made.made_line or one.loader) in told:
            continue
        how = sorting([labels for batch in one.batches if (labels := _labels(batch))])
        if how is None or how.excess <= SORTED or not (made.iterable or _ascending(one)):
            continue
        told.add((made.made_file, made.made_line or one.loader))
        place = (made.made_file, made.made_line) if made.made_line else one.batches[0].event
        yield found(
            place,
            max(one.update, 1),
            f"this loader hands out its samples as they are stored, sorted by label: {_words(how)}",
            facts=_facts(how),
            remedy="  {line}  # with shuffle=True",
            evidence="hint" if made.iterable else None,
        )
    if not any(one.training for one in data.passes):
        yield from _without_loader(data)


def _without_loader(data: Data) -> Iterator[Found]:
    by_owner: dict[frozenset[str], list[Call]] = {}
    for call in data.calls:
        if call.training and call.marks and len(call.targets) == 1:
            by_owner.setdefault(call.owners, []).append(call)
    for calls in by_owner.values():
        epoch = _epoch(calls)
        how = sorting([call.targets[0].values for call in epoch if call.targets[0].labels])
        if how is not None and how.excess > SORTED:
            yield found(
                epoch[0].event,
                epoch[0].update,
                f"each epoch feeds the same {len(epoch):,} batches in the same order, sorted by label: {_words(how)}",
                facts=_facts(how),
                remedy="+ order = torch.randperm(len(inputs))  # in every epoch; then batches of order\n  {line}",
            )


def _epoch(calls: list[Call]) -> list[Call]:
    """The calls until the first batch comes again; none where what follows is not the same way again."""
    ways = [tuple(tuple(mark.samples) for mark in call.marks) for call in calls]
    length = next((place for place in range(1, len(ways)) if ways[place] == ways[0]), 0)
    again = ways[length : 2 * length]
    return calls[:length] if length >= FEWEST and len(again) >= FEWEST and again == ways[: len(again)] else []


def _ascending(one: Pass) -> bool:
    indices = one.indices
    return len(indices) > 1 and all(a < b for a, b in pairwise(indices))


def _labels(batch: Batch) -> list[Number]:
    """The labels of a batch: its column of whole numbers that the loss was given, else its only one."""
    columns = [mark for mark in batch.marks if mark.labels]
    targets = [target.values for target in batch.call.targets] if batch.call is not None else []
    given = [mark for mark in columns if mark.values in targets]
    if given:
        return given[0].values
    return columns[0].values if len(columns) == 1 and len(batch.marks) > 1 else []


def _words(how: Sorting) -> str:
    return (
        f"{figure(how.size, 2)} samples in a row hold {figure(how.a_window, 2)} of the {how.classes} labels on "
        f"average, so that the model learns one class after the other"
    )


def _facts(how: Sorting) -> dict[str, float | int | bool | str | list[str] | list[float] | None]:
    return {"labels_a_batch": how.a_window, "labels": how.classes, "sorted": how.excess, "batches": how.windows}


def bad() -> None:
    import torch
    from torch import nn
    from torch.utils.data import DataLoader, TensorDataset

    torch.manual_seed(0)
    targets = torch.arange(4).repeat_interleave(24)
    inputs = torch.randn(96, 4) + nn.functional.one_hot(targets)
    loader = DataLoader(TensorDataset(inputs, targets), batch_size=16)  # fires
    model = nn.Linear(4, 4)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for _epoch in range(2):
        for batch, target in loader:
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(batch), target).backward()
            optimizer.step()


def good() -> None:
    import torch
    from torch import nn
    from torch.utils.data import DataLoader, TensorDataset

    torch.manual_seed(0)
    targets = torch.arange(4).repeat_interleave(24)
    inputs = torch.randn(96, 4) + nn.functional.one_hot(targets)
    loader = DataLoader(TensorDataset(inputs, targets), batch_size=16, shuffle=True)
    model = nn.Linear(4, 4)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for _epoch in range(2):
        for batch, target in loader:
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(batch), target).backward()
            optimizer.step()
