"""The first layer is given raw, large numbers.

What it sees: the first layer with weights (not the model, which may scale its input first; and no
normalisation, no embedding) gets inputs whose root mean square is in the tens or hundreds: pixels
from 0 to 255, incomes, years.

Why it hurts: weights are drawn, and learning rates are chosen, for inputs near 1. Outputs and
gradients of the first layer start that many times too large; training is slow, or diverges, and the
largest feature drowns the others.

What to do: divide pixels by 255, standardise columns with the training set's mean and standard
deviation, or put a normalisation first.

When to ignore it: where the layers behind undo the scale, and training goes well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepscope.checking.rule import NothingToJudge, Rule, found
from stepscope.checking.words import figure

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepscope.checking.rule import Found
    from stepscope.record.look import LayerLook, Look, Summary
    from stepscope.record.run import Run

RULE = Rule(phase="data", evidence="strong", severity="warning")

#: Root mean square of the inputs, from which on they are called raw.
RAW = 25.0
#: Layers that multiply their input by weights drawn for inputs near 1.
CONVOLUTIONS = {"Conv1d", "Conv2d", "Conv3d", "LazyConv1d", "LazyConv2d"}
WEIGHTED = {"Linear", "LazyLinear", "Bilinear", "LSTM", "GRU", "RNN", "LSTMCell", "GRUCell", "RNNCell"} | CONVOLUTIONS


def check(run: Run) -> Iterator[Found]:
    looks = [(update.index, update.look) for update in run.main.looks if update.look is not None]
    firsts = [(index, *pair) for index, look in looks if (pair := _first_layer(look)) is not None]
    if not firsts:
        raise NothingToJudge("no model with weights that are given its inputs was looked into")
    raw = [(index, root, layer, normed) for index, root, layer, normed in firsts if _size(layer.inputs[0]) >= RAW]
    if not raw or len(raw) < len(firsts):
        return
    index, root, layer, normed = raw[0]
    given = layer.inputs[0]
    size = _size(given)
    yield found(
        root,
        index,
        f"the first layer, {layer.path or layer.cls} ({layer.cls}), is given numbers from {figure(given.low or 0)} to "
        f"{figure(given.high or 0)}, with a root mean square of {figure(size)}: its outputs start about "
        f"{figure(size, 2)} times as large as its weights were drawn for",
        facts={"low": float(given.low or 0), "high": float(given.high or 0), "size": size, "layer": layer.path},
        evidence="hint" if normed else None,
    )


def _first_layer(look: Look) -> tuple[LayerLook, LayerLook, bool] | None:
    """The first call of a model, its first layer that multiplies what the model is given, and whether a norm follows.

    None where something else with parameters comes first.
    """
    root = next((layer for layer in look.layers if layer.parent < 0 and not layer.criterion), None)
    if root is None:
        return None
    inside = [layer for layer in look.layers if layer.round == root.round and layer.parameters]
    first = next(iter(inside), None)
    if first is None or first.cls not in WEIGHTED or not first.inputs or "float" not in first.inputs[0].dtype:
        return None
    return root, first, len(inside) > 1 and "Norm" in inside[1].cls


def _size(given: Summary) -> float:
    mean, std = given.mean, given.std
    size = (float(mean or 0) ** 2 + float(std or 0) ** 2) ** 0.5
    return size if size < float("inf") else 0.0


def bad() -> None:
    import torch
    from torch import nn

    torch.manual_seed(0)
    pixels = torch.randint(0, 256, (64, 16)).float()
    targets = (pixels[:, :8].mean(1) > pixels[:, 8:].mean(1)).long()
    model = nn.Sequential(nn.Linear(16, 8), nn.Tanh(), nn.Linear(8, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.001)
    for _step in range(4):
        chosen = torch.randperm(64)[:16]
        loss = nn.functional.cross_entropy(model(pixels[chosen]), targets[chosen])  # fires
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def good() -> None:
    import torch
    from torch import nn

    torch.manual_seed(0)
    pixels = torch.randint(0, 256, (64, 16)).float()
    targets = (pixels[:, :8].mean(1) > pixels[:, 8:].mean(1)).long()
    scaled = pixels / 127.5 - 1
    model = nn.Sequential(nn.Linear(16, 8), nn.Tanh(), nn.Linear(8, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.001)
    for _step in range(4):
        chosen = torch.randperm(64)[:16]
        loss = nn.functional.cross_entropy(model(scaled[chosen]), targets[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
