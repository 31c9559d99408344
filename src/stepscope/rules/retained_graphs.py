"""Graphs of updates long past are kept alive, and memory grows with every update.

What it sees: each loss leaves a mark in its graph, and the marks of earlier updates are still alive
when later ones are backpropagated: more and more of them. Where it can be found, what holds them is
named: a sum of losses, a list, an attribute.

Why it hurts: a tensor with a ``grad_fn`` keeps its graph and whatever that still saves. Memory grows
until it runs out, often hours into the training, and each update gets slower where the graph is walked.

What to do: keep numbers, not tensors: ``total += loss.item()``, or ``loss.detach()`` where reading the
number at once would wait for the GPU.

When to ignore it: where a later backward is really meant to go through all these updates.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepscope.checking.readings.loop import update_of
from stepscope.checking.rule import NothingToJudge, Rule, found
from stepscope.checking.words import count
from stepscope.record.events import Backward

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepscope.checking.rule import Found
    from stepscope.record.run import Run

RULE = Rule(phase="gradients", evidence="strong", severity="warning")

#: So many earlier updates must be alive, and so many where nobody was found to hold them.
_MANY, _VERY_MANY = 6, 16


def check(run: Run) -> Iterator[Found]:
    main = run.main
    backwards = list(main.of(Backward))
    if not backwards:
        raise NothingToJudge("nothing was backpropagated")
    kept = [b for b in backwards if b.kept >= _MANY]
    if not kept:
        return
    most = max(b.kept for b in kept)
    held = [b for b in kept if b.holder is not None]
    if not held and most < _VERY_MANY:
        return
    first = held[0] if held else kept[0]
    holder = first.holder
    update = update_of(main, first)
    named = f"'{holder.name}' holds" if holder else "something holds"
    at = (holder.made_file, holder.made_line) if holder and holder.made_file else (first.file, first.line)
    yield found(
        at,
        update.index if update else 0,
        f"{named} tensors with the graphs of updates that are over: {count(most, 'earlier update')} were still alive "
        f"when a later one was backpropagated (of {count(main.update_count, 'update')} in all); memory grows with each",
        facts={"holder": holder.name if holder else "", "alive": most, "updates": main.update_count},
        remedy="- {line}\n+ the same with .item() or .detach() on what is kept",
    )


def bad() -> None:
    import torch
    from torch import nn

    torch.manual_seed(0)
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    inputs = torch.randn(160, 4)
    targets = inputs.sum(1, keepdim=True)
    total = torch.zeros(())
    for start in range(0, 160, 16):
        loss = nn.functional.mse_loss(model(inputs[start : start + 16]), targets[start : start + 16])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss  # fires


def good() -> None:
    import torch
    from torch import nn

    torch.manual_seed(0)
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    inputs = torch.randn(160, 4)
    targets = inputs.sum(1, keepdim=True)
    total = 0.0
    for start in range(0, 160, 16):
        loss = nn.functional.mse_loss(model(inputs[start : start + 16]), targets[start : start + 16])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item()
