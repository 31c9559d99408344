"""A softmax runs over the batch instead of over the classes or positions of each sample.

What it sees: inside the model, or on its output, a softmax runs over dimension 0, whose size is the
number of samples, while the model gives an output for each sample. Square matrices of similarities
and attention over the instances of one bag are no finding.

Why it hurts: the samples of a batch compete for a total of 1. What a sample gets depends on the
others that happen to be in its batch, and the numbers of one sample are never weighed against each
other.

What to do: name the dimension of the classes (or positions), mostly ``dim=-1`` or ``dim=1``.

When to ignore it: where the samples of a batch are to compete, as in weights over a batch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepscope.checking.rule import NothingToJudge, Rule, found
from stepscope.checking.words import count

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepscope.checking.finding import Evidence
    from stepscope.checking.readings.losses import Where
    from stepscope.checking.rule import Found
    from stepscope.record.look import LayerLook, Look
    from stepscope.record.lossfacts import Normalised
    from stepscope.record.run import RankRun, Run
    from stepscope.record.updates import Update

RULE = Rule(phase="loss", evidence="strong")

LEAST = 2


def check(run: Run) -> Iterator[Found]:
    main = run.main
    seen: dict[Where, list[tuple[Update, Normalised]]] = {}
    total = 0
    for update in main.looks:
        for one in update.look.softmaxes if update.look is not None else ():
            total += 1
            if update.look is not None and _over_samples(main, update.look, one):
                seen.setdefault(_place(update.look, one), []).append((update, one))
    if not total:
        raise NothingToJudge("no softmax was seen in the graph of a loss")
    for place, found_there in seen.items():
        if len(found_there) >= LEAST:
            yield _tell(main, place, found_there)


def _over_samples(main: RankRun, look: Look, one: Normalised) -> bool:
    """Whether a softmax runs over the samples of the batch."""
    shape = one.shape
    if one.dim != 0 or len(shape) < 2 or shape[0] < 2 or shape[0] in shape[1:] or one.operation not in _SOFTMAXES:
        return False
    call = _caller(look, one)
    if call is None or call.criterion or not call.inputs or not call.outputs:
        return False
    given, got = call.inputs[0].shape, call.outputs[0].shape
    samples = shape[0]
    if not given or not got or given[0] != samples or got[0] != samples:
        return False
    if one.layer < 0 and shape != got:
        return False
    if len(got) <= 2 and got != given:
        return True
    # Sequences first or samples first? Where the loader tells the size of a batch, that settles it.
    return samples in _batch_sizes(main) and samples not in given[1:]


_SOFTMAXES = {"Softmax", "LogSoftmax"}


def _batch_sizes(main: RankRun) -> set[int]:
    """What the loaders say of the size of a batch."""
    return {loader.batch_size for loader in main.loaders.values() if loader.batch_size is not None}


def _evidence(main: RankRun, seen: list[tuple[Update, Normalised]]) -> Evidence:
    """Less where the rows may be the steps of one sequence or the nodes of one graph, which may well compete."""
    batches = {str(u.look.batch[0].mean) for u in main.looks if u.look and u.look.batch}
    sizes = {one.shape[0] for _, one in seen}
    known = _batch_sizes(main)
    batched = bool(sizes & known) if known else len(sizes) == 1
    return "strong" if batched and len(batches) != 1 else "hint"


def _caller(look: Look, one: Normalised) -> LayerLook | None:
    """The call from user code inside which, or right after which, the softmax ran."""
    calls = {layer.index: layer for layer in look.layers if layer.round == one.round}
    if one.layer < 0:
        outer = [layer for layer in calls.values() if layer.parent < 0 and not layer.criterion]
        return outer[0] if len(outer) == 1 else None
    call = calls.get(one.layer)
    while call is not None and call.parent >= 0:
        call = calls.get(call.parent)
    if call is not None and call.outputs and call.outputs[0].shape == one.shape and call.index == one.layer:
        outer = [layer for layer in calls.values() if layer.parent < 0 and layer.outputs]
        return next((layer for layer in outer if layer.outputs[0].shape == one.shape and layer.inputs), call)
    return call


def _place(look: Look, one: Normalised) -> Where:
    if one.file is not None:
        return one.file, one.line
    layer = next((layer for layer in look.layers if layer.index == one.layer), None)
    return (layer.file, layer.line) if layer is not None else (None, 0)


def _tell(main: RankRun, place: Where, seen: list[tuple[Update, Normalised]]) -> Found:
    update, first = seen[0]
    shown = "x".join(str(size) for size in first.shape)
    samples = first.shape[0]
    return found(
        place,
        update.index,
        f"this softmax of a {shown} tensor runs over dimension 0, the {samples} samples of the batch: each column "
        "sums to 1 over "
        f"different samples, and no sample's own numbers are weighed against each other; so it went in "
        f"{count(len({u.index for u, _ in seen}), 'update')} of those looked at",
        facts={"shape": [float(size) for size in first.shape], "samples": samples, "looked_at": len(seen)},
        remedy="- {line}\n+ (the same with dim=-1, or the dimension of the classes or positions)",
        evidence=_evidence(main, seen),
    )


def bad() -> None:
    import torch
    from torch import nn

    torch.manual_seed(0)
    first, second = nn.Linear(8, 16), nn.Linear(16, 4)
    model = nn.Sequential(first, nn.Tanh(), second, nn.Softmax(dim=0))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    inputs = torch.randn(128, 8)
    targets = inputs[:, :4].argmax(1)
    for start in range(0, 128, 16):
        probabilities = model(inputs[start : start + 16])  # fires
        picked = probabilities[torch.arange(16), targets[start : start + 16]]
        loss = -(picked + 1e-9).log().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def good() -> None:
    import torch
    from torch import nn

    torch.manual_seed(0)
    first, second = nn.Linear(8, 16), nn.Linear(16, 4)
    model = nn.Sequential(first, nn.Tanh(), second, nn.Softmax(dim=1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    inputs = torch.randn(128, 8)
    targets = inputs[:, :4].argmax(1)
    for start in range(0, 128, 16):
        probabilities = model(inputs[start : start + 16])
        picked = probabilities[torch.arange(16), targets[start : start + 16]]
        loss = -(picked + 1e-9).log().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
