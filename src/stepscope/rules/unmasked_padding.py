"""Padding counts in the loss.

What it sees: rows of token ids that go into the model end in one and the same id, after different
lengths, an id found nowhere else; at these positions the target is always the same, too, and the
loss counts it.

Why it hurts: the padded positions are the easiest to learn, so the loss looks good long before the
model is, a part of every gradient teaches nothing but padding, and batches with much padding weigh
their real tokens less.

What to do: give the padding's target to ``ignore_index``, or set those targets to -100.

When to ignore it: where the end of a row is to be predicted as often as it appears.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepscope.checking.readings.losses import Seen, by_line, losses, number
from stepscope.checking.rule import NothingToJudge, Rule, found
from stepscope.checking.words import count, share

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepscope.checking.rule import Found
    from stepscope.record.run import Run

RULE = Rule(phase="loss", evidence="hint", severity="warning")

#: Less padding than this is not worth a word.
LITTLE = 0.05
#: In this share of the looks it must be so (a batch may happen to need no padding).
MOSTLY = 0.6


def check(run: Run) -> Iterator[Found]:
    calls = [call for call in losses(run.main, "cross_entropy", "nll_loss") if call.facts.padding is not None]
    if not calls:
        raise NothingToJudge("no loss was seen whose targets go with the positions of a model's token ids")
    for line in by_line(calls):
        padded = [call for call in line if _counts_padding(call)]
        ids = {call.facts.padding.id for call in padded if call.facts.padding is not None}
        if len(padded) >= max(2, MOSTLY * len(line)) and len(ids) == 1:
            yield _tell(line, padded)


def _counts_padding(call: Seen) -> bool:
    padding = call.facts.padding
    if padding is None or call.loss.reduction == "none" or "weight" in call.loss.options:
        return False
    varied = padding.longest > padding.shortest
    alike = number(padding.low) == number(padding.high) and number(padding.counted) > 1 - 1e-6
    return varied and alike and number(padding.inside) == 0 and number(padding.share) >= LITTLE


def _tell(line: list[Seen], padded: list[Seen]) -> Found:
    first = padded[0]
    padding = first.facts.padding
    assert padding is not None
    target = int(number(padding.low))
    shares = [number(call.facts.padding.share) for call in padded if call.facts.padding is not None]
    told = ", the padding_idx of its embedding" if padding.declared else ""
    return found(
        first.place,
        first.update.index,
        f"{share(max(shares))} of the positions that this loss averages over are padding: there the rows that go in "
        "end in id "
        f"{padding.id}{told}, and the target is always {target}, which the loss counts; so it was in "
        f"{count(len(padded), 'update')} of the {len(line)} looked at",
        facts={"share": max(shares), "padding": padding.id, "target": target, "looked_at": len(line)},
        remedy=f"- {{line}}\n+ (the same with ignore_index={target})",
    )


def bad() -> None:
    import torch
    from torch import nn

    torch.manual_seed(0)
    embed, head = nn.Embedding(12, 16, padding_idx=0), nn.Linear(16, 12)
    model = nn.Sequential(embed, nn.Tanh(), head)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    tokens = torch.randint(1, 12, (128, 10))
    tokens[torch.arange(10) >= torch.randint(4, 11, (128, 1))] = 0
    for start in range(0, 128, 16):
        batch = tokens[start : start + 16]
        scores = model(batch[:, :-1])
        loss = nn.functional.cross_entropy(scores.flatten(0, 1), batch[:, 1:].flatten())  # fires
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def good() -> None:
    import torch
    from torch import nn

    torch.manual_seed(0)
    embed, head = nn.Embedding(12, 16, padding_idx=0), nn.Linear(16, 12)
    model = nn.Sequential(embed, nn.Tanh(), head)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    tokens = torch.randint(1, 12, (128, 10))
    tokens[torch.arange(10) >= torch.randint(4, 11, (128, 1))] = 0
    for start in range(0, 128, 16):
        batch = tokens[start : start + 16]
        scores = model(batch[:, :-1])
        loss = nn.functional.cross_entropy(scores.flatten(0, 1), batch[:, 1:].flatten(), ignore_index=0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
