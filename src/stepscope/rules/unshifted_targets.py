"""A model that predicts the next token is given the same token as its target.

What it sees: at every position the target equals the token that goes in there, in a model whose
positions see no later one (a causal attention, a recurrent net of one direction), and the loss
falls fast. No other input of the round is the target shifted by one.

Why it hurts: the answer stands at the very position where it is asked. The model learns to copy:
the loss goes towards 0, and what it generates repeats its last token.

What to do: predict position t+1 from position t: ``scores[:, :-1]`` against ``tokens[:, 1:]``.

When to ignore it: where the model is to reproduce its input, as in an autoencoder.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING

from stepscope.checking.readings.losses import Seen, by_line, losses, number
from stepscope.checking.rule import NothingToJudge, Rule, found
from stepscope.checking.words import figure, share

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepscope.checking.rule import Found
    from stepscope.record.look import LayerLook
    from stepscope.record.run import Run

RULE = Rule(phase="loss", evidence="strong")

#: From this share on targets are the inputs; below the other they are not shifted either.
SAME, SHIFTED = 0.99, 0.9
FEW = 3
#: A copying model comes down to this share of what guessing costs.
LOW = 0.5
_RECURRENT = {"LSTM", "GRU", "RNN"}


def check(run: Run) -> Iterator[Found]:
    calls = [call for call in losses(run.main, "cross_entropy", "nll_loss") if call.facts.copied is not None]
    if not calls:
        raise NothingToJudge("no loss was seen whose targets go with the positions of a model's token ids")
    for line in by_line(calls):
        if len(line) >= FEW and all(_is_copied(call) for call in line):
            yield _tell(line)


def _is_copied(call: Seen) -> bool:
    copied, shifted = call.facts.copied, call.facts.shifted
    same = copied is not None and number(copied) >= SAME
    return same and shifted is not None and number(shifted) < SHIFTED and _classes(call) > 2


def _classes(call: Seen) -> int:
    return call.facts.rows[0].size if call.facts.rows else 0


def _is_causal(call: Seen) -> bool:
    """Whether no position sees a later one, and none gets what a state of the whole sequence tells."""
    look = call.update.look
    assert look is not None
    if any(one.causal for one in look.softmaxes):
        return True
    layers = [layer for layer in look.layers if not layer.unrecorded]  # an evaluation may have come before
    recurrent = [layer for layer in layers if layer.cls in _RECURRENT and layer.round == call.loss.round]
    cells = any(layer.cls.endswith("Cell") for layer in layers)
    both_ways = any("bidirectional=True" in layer.options for layer in recurrent)
    stacked = all(_feeds(before, after) for before, after in pairwise(recurrent))
    return bool(recurrent) and not cells and not both_ways and stacked


def _feeds(before: LayerLook, after: LayerLook) -> bool:
    """Whether a layer was given what another one gave: an encoder hands its decoder a state instead."""
    given, got = after.inputs[:1], before.outputs[:1]
    return bool(given and got) and (given[0].shape, given[0].mean, given[0].std) == (
        got[0].shape,
        got[0].mean,
        got[0].std,
    )


def _tell(line: list[Seen]) -> Found:
    first, last = line[0], line[-1]
    guess = math.log(_classes(first))
    results = [number(call.loss.result) for call in line if call.loss.result is not None]
    went_down = bool(results) and first.loss.reduction == "mean" and results[-1] < LOW * guess
    sure = went_down and all(_is_causal(call) for call in line)
    message = (
        f"{share(number(last.facts.copied))} of the targets are the very token that goes in at their position: "
        "nothing is "
        f"shifted, so the model only has to copy; so it was in all {len(line)} updates that were looked at"
    )
    if results:
        message += (
            f". The loss went from {figure(results[0])} to {figure(results[-1])} (guessing gives {figure(guess)})"
        )
    return found(
        first.place,
        first.update.index,
        message,
        facts={"copied": number(last.facts.copied), "losses": results[:8], "looked_at": len(line)},
        remedy="- {line}\n+ (the same with scores[:, :-1] against targets[:, 1:])",
        evidence="strong" if sure else "hint",
    )


def bad() -> None:
    import torch
    from torch import nn

    torch.manual_seed(0)
    embed, recurrent, head = nn.Embedding(8, 16), nn.GRU(16, 16, batch_first=True), nn.Linear(16, 8)
    model = nn.ModuleList([embed, recurrent, head])
    optimizer = torch.optim.Adam(model.parameters(), lr=0.03)
    tokens = torch.randint(8, (320, 12))
    for start in range(0, 320, 10):
        batch = tokens[start : start + 10]
        hidden, _ = recurrent(embed(batch))
        loss = nn.functional.cross_entropy(head(hidden).flatten(0, 1), batch.flatten())  # fires
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def good() -> None:
    import torch
    from torch import nn

    torch.manual_seed(0)
    embed, recurrent, head = nn.Embedding(8, 16), nn.GRU(16, 16, batch_first=True), nn.Linear(16, 8)
    model = nn.ModuleList([embed, recurrent, head])
    optimizer = torch.optim.Adam(model.parameters(), lr=0.03)
    tokens = (torch.randint(8, (320, 1)) + torch.arange(12)) % 8
    for start in range(0, 320, 10):
        batch = tokens[start : start + 10]
        hidden, _ = recurrent(embed(batch[:, :-1]))
        loss = nn.functional.cross_entropy(head(hidden).flatten(0, 1), batch[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
