"""Every epoch shuffles the training data into the same order.

What it sees: two passes of a shuffling loader fed the same optimizer, and the sampler chose the
same samples in the same order in both, although that order is no plain count from the first to the
last: a ``DistributedSampler`` whose ``set_epoch`` is never called, a seed that is set anew in
every epoch, a loader with a freshly seeded generator per epoch.

Why it hurts: batches are never mixed anew. The same samples always share a batch and the same
ones always come last, so that their gradients' noise has the same sign in every epoch.

What to do: seed once, before the first epoch; call ``sampler.set_epoch(epoch)`` where the sampler
is distributed.

When to ignore it: where you compare runs batch by batch and want the order fixed.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from stepscope.checking.readings.batches import data_of
from stepscope.checking.rule import NothingToJudge, Rule, found

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepscope.checking.readings.batches import Data, Pass
    from stepscope.checking.rule import Found
    from stepscope.record.run import Run

RULE = Rule(phase="data", evidence="proof", severity="warning")

#: So many samples in the same order are no chance.
FEWEST = 8
#: Samplers whose work it is to shuffle; that another one repeats its order may be its purpose.
SHUFFLING = (
    "RandomSampler",
    "SubsetRandomSampler",
    "WeightedRandomSampler",
    "DistributedSampler",
    "SeedableRandomSampler",
    "DistributedSamplerWrapper",
)


def check(run: Run) -> Iterator[Found]:
    data = data_of(run.main)
    streams = _streams(data)
    if not any(len(passes) > 1 for passes in streams):
        raise NothingToJudge("no training loader was passed over twice")
    for passes in streams:
        same = [(one, other) for one, other in pairwise(passes) if _same(one, other)]
        if same:
            yield _tell(data, same)


def _streams(data: Data) -> list[list[Pass]]:
    """The passes that follow one another, over one loader or over loaders made anew on the same line."""
    streams: dict[object, list[Pass]] = {}
    for one in data.passes:
        made = data.loaders.get(one.loader)
        chosen = made is not None and not made.iterable and made.order != "SequentialSampler"
        if one.training and made is not None and chosen and len(one.batches) > 1:
            key = (made.made_file, made.made_line, made.samples, made.order) if made.made_line else one.loader
            streams.setdefault(key, []).append(one)
    return list(streams.values())


def _same(one: Pass, other: Pass) -> bool:
    """Whether ``other`` goes, as far as both were seen, the shuffled way of ``one``, for the same optimizer."""
    first, second = one.indices, other.indices
    seen = min(len(first), len(second))
    return (
        len(set(first[:seen])) >= FEWEST
        and first[:seen] == second[:seen]
        and any(a > b for a, b in pairwise(first[:seen]))
        and bool(one.owners & other.owners or one.owners == other.owners)
    )


def _tell(data: Data, same: list[tuple[Pass, Pass]]) -> Found:
    one, other = same[0]
    made = data.loaders[other.loader]
    seen = min(len(one.indices), len(other.indices))
    distributed = made.order.startswith("Distributed")
    remedy = "+ sampler.set_epoch(epoch)\n  {line}" if distributed else ""
    return found(
        other.batches[0].event,
        other.update,
        f"this pass goes through the training samples in the very order of the pass before it: all {seen:,} "
        f"indices that both drew are equal in place, beginning with {', '.join(map(str, one.indices[:5]))}, although "
        f"{made.order} is there to shuffle; so it went in {len(same)} of the passes that were seen",
        facts={"sampler": made.order, "samples": seen, "passes": len(same)},
        remedy=remedy,
        evidence=None if made.order in SHUFFLING else "hint",
    )


def bad() -> None:
    import torch
    from torch import nn
    from torch.utils.data import DataLoader, TensorDataset

    torch.manual_seed(0)
    inputs = torch.randn(48, 4)
    loader = DataLoader(TensorDataset(inputs, inputs.sum(1, keepdim=True)), batch_size=12, shuffle=True)
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for _epoch in range(3):
        torch.manual_seed(7)
        for batch, target in loader:  # fires
            loss = nn.functional.mse_loss(model(batch), target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def good() -> None:
    import torch
    from torch import nn
    from torch.utils.data import DataLoader, TensorDataset

    torch.manual_seed(0)
    inputs = torch.randn(48, 4)
    loader = DataLoader(TensorDataset(inputs, inputs.sum(1, keepdim=True)), batch_size=12, shuffle=True)
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for _epoch in range(3):
        for batch, target in loader:
            loss = nn.functional.mse_loss(model(batch), target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
