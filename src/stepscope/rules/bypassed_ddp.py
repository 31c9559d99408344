"""A model wrapped for several ranks is trained around its wrapper.

What it sees: ``DistributedDataParallel`` holds the parameters, but the forward behind a backward did
not go through it: ``wrapper.module(...)`` was called, or the model that was wrapped, or a method of
it. The gradients of the ranks are then not averaged, and they are not equal.

Why it hurts: there is no error. Each rank trains a model of its own on its share of the data; what is
saved is the model of one rank, and the others worked for nothing.

What to do: call the wrapper itself in training. Where a method is to be trained, let ``forward`` call
it.

When to ignore it: where you average the gradients yourself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepscope.checking.readings.ranks import bypassing, compared, differ, ranks_of
from stepscope.checking.rule import NothingToJudge, Rule, found
from stepscope.checking.words import count
from stepscope.record.events import ModelWrapped

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepscope.checking.rule import Found
    from stepscope.record.run import Run

RULE = Rule(phase="ranks", evidence="proof", processes=2)


def check(run: Run) -> Iterator[Found]:
    ranks = ranks_of(run)
    main = ranks[0]
    wrapped = {event.wrapper: event for event in main.of(ModelWrapped)}
    if not wrapped:
        raise NothingToJudge("no model was wrapped in DistributedDataParallel")
    guilty = list(bypassing(main))
    for wrapper, event in wrapped.items():
        updates = {update.index: backward for update, by, backward in guilty if by.wrapper == wrapper}
        if not updates:
            continue
        averaged = set(event.parameters)
        apart = [
            differ(row, "mark_gradient")
            for update, rows in compared(ranks)
            if update.index in updates
            for row in rows
            if row[0].id in averaged and all(look.mark_gradient for look in row)
        ]
        if apart and not any(apart):
            continue  # the gradients are equal all the same: somebody averages them
        first = min(updates)
        seen = ", and they differ between the ranks" if apart else ""
        yield found(
            updates[first],
            first,
            f"the forward of {count(len(updates), 'update')} went around {event.cls}, so the gradients of its "
            f"{count(len(averaged), 'parameter')} were not averaged over the {len(ranks)} ranks{seen}",
            facts={"wrapper": event.cls, "updates": len(updates), "parameters": len(averaged), "ranks": len(ranks)},
            remedy="- output = wrapper.module(inputs)\n+ output = wrapper(inputs)",
            evidence=None if apart else "strong",
        )


def bad() -> None:
    import torch
    from torch import distributed, nn

    distributed.init_process_group("gloo")
    torch.manual_seed(0)
    model = nn.parallel.DistributedDataParallel(nn.Linear(4, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    torch.manual_seed(1 + distributed.get_rank())
    for _ in range(4):
        inputs = torch.randn(16, 4)
        loss = nn.functional.cross_entropy(model.module(inputs), (inputs[:, 0] > 0).long())
        optimizer.zero_grad()
        loss.backward()  # fires
        optimizer.step()
    distributed.destroy_process_group()


def good() -> None:
    import torch
    from torch import distributed, nn

    distributed.init_process_group("gloo")
    torch.manual_seed(0)
    model = nn.parallel.DistributedDataParallel(nn.Linear(4, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    torch.manual_seed(1 + distributed.get_rank())
    for _ in range(4):
        inputs = torch.randn(16, 4)
        loss = nn.functional.cross_entropy(model(inputs), (inputs[:, 0] > 0).long())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    distributed.destroy_process_group()
