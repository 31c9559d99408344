"""Batch norm normalises over a handful of values.

What it sees: a batch norm in training mode that has at most four values for each channel (samples
times positions), in most of the updates that were looked at closely.

Why it hurts: mean and variance of two or four values are mostly noise. With two values the output
is always close to +1 and -1, whatever the input was; the running statistics used in evaluation
describe something else than what the network was trained with.

What to do: use larger batches, gradient accumulation does not help here; or normalise over something
else than the batch, with group norm or layer norm; or keep the statistics fixed with ``eval()``.

When to ignore it: where that noise is wanted, or where it trains well all the same.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from stepscope.checking.rule import NothingToJudge, Rule, found
from stepscope.checking.words import count, listed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepscope.checking.rule import Found
    from stepscope.record.look import LayerLook
    from stepscope.record.run import Run
    from stepscope.record.updates import Update

RULE = Rule(phase="mode", evidence="hint", severity="warning")

#: With so few values for each channel the statistics are mostly noise.
FEW = 4


def check(run: Run) -> Iterator[Found]:
    seen: dict[tuple[str, str], list[tuple[Update, LayerLook, int]]] = {}
    for update in run.main.looks:
        for layer in update.look.layers if update.look else ():
            values = _values(layer)
            if values is not None:
                seen.setdefault((layer.model, layer.path), []).append((update, layer, values))
    if not seen:
        raise NothingToJudge("no batch norm in training mode was looked at")
    tiny: dict[str, list[tuple[Update, LayerLook, int]]] = {}
    for (model, _path), calls in seen.items():
        few = [call for call in calls if call[2] <= FEW]
        if 2 * len(few) > len(calls):  # not just the rest of the data at the end of a pass
            tiny.setdefault(model, []).append(few[0])
    for firsts in tiny.values():
        update, layer, values = firsts[0]
        names = [one.path or one.cls for _, one, _ in firsts]
        yield found(
            layer,
            update.index,
            f"{listed(names)} normalise{'s' if len(names) == 1 else ''} over {count(values, 'value')} for each "
            f"channel: such means and variances are mostly noise",
            facts={"layers": names, "values": values, "shape": str(layer.inputs[0].shape)},
            remedy="- nn.BatchNorm...\n+ nn.GroupNorm(...)  # or nn.LayerNorm, or larger batches",
        )


def _values(layer: LayerLook) -> int | None:
    """How many values each channel has; None for what is no batch norm at work."""
    if not layer.batch_norm or not layer.inputs or len(layer.inputs[0].shape) < 2:
        return None
    samples, _channels, *positions = layer.inputs[0].shape
    return samples * prod(positions)


def bad() -> None:
    import torch
    from torch import nn

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.hidden, self.norm, self.out = nn.Linear(8, 16), nn.BatchNorm1d(16), nn.Linear(16, 2)

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            hidden = self.norm(self.hidden(inputs))  # fires
            scores: torch.Tensor = self.out(torch.relu(hidden))
            return scores

    torch.manual_seed(0)
    inputs = torch.randn(16, 8)
    targets = (inputs[:, 0] > 0).long()
    model = Net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    for batch in torch.randperm(16).split(2):
        loss = nn.functional.cross_entropy(model(inputs[batch]), targets[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def good() -> None:
    import torch
    from torch import nn

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.hidden, self.norm, self.out = nn.Linear(8, 16), nn.BatchNorm1d(16), nn.Linear(16, 2)

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            hidden = self.norm(self.hidden(inputs))
            scores: torch.Tensor = self.out(torch.relu(hidden))
            return scores

    torch.manual_seed(0)
    inputs = torch.randn(128, 8)
    targets = (inputs[:, 0] > 0).long()
    model = Net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    for batch in torch.randperm(128).split(16):
        loss = nn.functional.cross_entropy(model(inputs[batch]), targets[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
