"""All ranks train on the same samples.

What it sees: update by update the batches of all ranks hold the same samples.

Why it hurts: the average of equal gradients is the gradient of one rank. Every rank but one works for
nothing, and the batch is as small as that of one rank, whatever the learning rate was chosen for.

What to do: give each rank its own share: a ``DistributedSampler`` (with its true rank and number of
replicas), or, for a stream, take every n-th sample by rank.

When to ignore it: where the ranks share one model between them and have to see the same samples.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepscope.checking.readings.ranks import compared, differ, ranks_of
from stepscope.checking.readings.same_data import same_batches
from stepscope.checking.rule import NothingToJudge, Rule, found
from stepscope.checking.words import count
from stepscope.record.events import ModelWrapped

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepscope.checking.rule import Found
    from stepscope.record.run import Run

RULE = Rule(phase="ranks", evidence="proof", processes=2)

#: So many updates must have been compared.
ENOUGH = 3


def check(run: Run) -> Iterator[Found]:
    ranks = ranks_of(run)
    same = same_batches(ranks)
    if same.compared < ENOUGH:
        raise NothingToJudge("too few batches of the ranks could be compared")
    if not same.alike or not same.varied or same.place is None:
        return
    wrapped = any(True for _ in ranks[0].of(ModelWrapped))
    apart = any(differ(row, "mark_after") for _, rows in compared(ranks) for row in rows)
    if apart and not wrapped:
        return  # each rank has a part of the model, or a model of its own
    yield found(
        same.place,
        same.update,
        f"all {len(ranks)} ranks train on the same {count(same.samples, 'sample')}, in {same.same} of "
        f"{count(same.compared, 'update')} that could be compared: the average of their gradients is that of one rank",
        facts={"ranks": len(ranks), "same": same.same, "compared": same.compared, "samples": same.samples},
        remedy="- DataLoader(dataset, shuffle=True)\n+ DataLoader(dataset, sampler=DistributedSampler(dataset))",
    )


def bad() -> None:
    import torch
    from torch import distributed, nn
    from torch.utils.data import DataLoader, TensorDataset

    distributed.init_process_group("gloo")
    torch.manual_seed(0)
    inputs = torch.randn(64, 4)
    loader = DataLoader(TensorDataset(inputs, (inputs[:, 0] > 0).long()), batch_size=8, shuffle=True)
    model = nn.parallel.DistributedDataParallel(nn.Linear(4, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for batch, targets in loader:  # fires
        loss = nn.functional.cross_entropy(model(batch), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    distributed.destroy_process_group()


def good() -> None:
    import torch
    from torch import distributed, nn
    from torch.utils.data import DataLoader, DistributedSampler, TensorDataset

    distributed.init_process_group("gloo")
    torch.manual_seed(0)
    inputs = torch.randn(64, 4)
    dataset = TensorDataset(inputs, (inputs[:, 0] > 0).long())
    loader = DataLoader(dataset, batch_size=8, sampler=DistributedSampler(dataset, shuffle=True))
    model = nn.parallel.DistributedDataParallel(nn.Linear(4, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for batch, targets in loader:
        loss = nn.functional.cross_entropy(model(batch), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    distributed.destroy_process_group()
