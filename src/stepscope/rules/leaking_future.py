"""A model that predicts what comes next can see it.

What it sees: the targets are the inputs one position later, and when the model was run again on
copies with the later positions replaced, its outputs at earlier positions changed.

Why it hurts: the answer is among the inputs. The loss falls far below what is possible, in training
and in validation alike, and in use, where the future is not there, the model is worth nothing.

What to do: mask attention so that no position attends to later ones (``is_causal=True``, or a mask
that is True above the diagonal for torch's own layers); use no bidirectional recurrent layer.

When to ignore it: hardly ever; where the later positions are really known when the model is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepscope.checking.rule import NothingToJudge, Rule, found
from stepscope.checking.words import figure
from stepscope.record.events import Probed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepscope.checking.rule import Found
    from stepscope.record.run import Run

RULE = Rule(phase="loss", evidence="strong")

_LAYOUTS = {"view", "reshape", "unflatten", "flatten"}
_MASKED = "- {line}\n+ # with a causal mask: no position may attend to a later one"
_MOVED = "- {line}\n+ # transpose or permute: a view in another order mixes the positions"


def check(run: Run) -> Iterator[Found]:
    main = run.main
    probed = [event for event in main.of(Probed) if event.along == "time"]
    if not probed:
        raise NothingToJudge("no model that predicts the next position was seen")
    for event in probed:
        if not event.changed:
            continue
        name = main.models[event.model].name
        length = event.shape[event.dim]
        where = f"; it shows first in {event.operation} on this line" if event.operation else ""
        yield found(
            event,
            event.update,
            f"{name} is to predict the next position and sees it: with positions {event.compared + 1} to {length} "
            f"replaced, its outputs at {event.changed} of the {event.compared} positions before them changed, by up "
            f"to {figure(event.largest)} times their spread{where}",
            facts={
                "model": name,
                "operation": event.operation,
                "changed": event.changed,
                "compared": event.compared,
                "largest": event.largest if isinstance(event.largest, float) else str(event.largest),
            },
            remedy=_MOVED if event.operation in _LAYOUTS else _MASKED,
        )


def bad() -> None:
    import torch
    from torch import nn

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.out = nn.Embedding(12, 16), nn.Linear(16, 12)

        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            h = self.embed(tokens)
            h = h + nn.functional.scaled_dot_product_attention(h, h, h)  # fires
            scores: torch.Tensor = self.out(h)
            return scores

    torch.manual_seed(0)
    text = torch.randint(12, (64, 9))
    model = Net()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for batch in torch.randperm(64).split(16):
        logits = model(text[batch, :-1])
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), text[batch, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def good() -> None:
    import torch
    from torch import nn

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.out = nn.Embedding(12, 16), nn.Linear(16, 12)

        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            h = self.embed(tokens)
            h = h + nn.functional.scaled_dot_product_attention(h, h, h, is_causal=True)
            scores: torch.Tensor = self.out(h)
            return scores

    torch.manual_seed(0)
    text = torch.randint(12, (64, 9))
    model = Net()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for batch in torch.randperm(64).split(16):
        logits = model(text[batch, :-1])
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), text[batch, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
