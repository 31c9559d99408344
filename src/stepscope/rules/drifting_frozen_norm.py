"""The running statistics of a frozen batch norm move.

What it sees: a batch norm whose parameters are all frozen runs in training mode inside a model
whose other parameters are being trained, so each forward moves its running mean and variance.

Why it hurts: the frozen part was to stay as it was, and does not. In training it normalises by the
batch, in evaluation by statistics that drift away from those its weights were made for; saved and
shared backbones are no longer what they were.

What to do: put the frozen part into evaluation mode after every ``model.train()``, best by
overriding ``train`` in the model.

When to ignore it: where the statistics are to adapt to new data on purpose.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepscope.checking.readings.loop import held_by
from stepscope.checking.rule import NothingToJudge, Rule, found
from stepscope.checking.words import count, listed
from stepscope.record.events import ModeChanged

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepscope.checking.rule import Found
    from stepscope.record.look import LayerLook
    from stepscope.record.run import RankRun, Run
    from stepscope.record.updates import Update

RULE = Rule(phase="mode", evidence="strong", severity="warning")


def check(run: Run) -> Iterator[Found]:
    main = run.main
    frozen: dict[str, dict[str, list[tuple[Update, LayerLook]]]] = {}
    norms = False
    for update in main.looks:
        for layer in update.look.layers if update.look and update.steps else ():
            norms = norms or layer.batch_norm or layer.tracks
            if layer.frozen and layer.tracks:
                frozen.setdefault(layer.model, {}).setdefault(layer.path, []).append((update, layer))
    if not norms:
        raise NothingToJudge("no batch norm in training mode was looked at")
    for model, paths in frozen.items():
        drifting = [calls for calls in paths.values() if _stays(calls) and not _has_twin(main, model, calls)]
        if drifting:
            yield _tell(main, model, drifting)


def _stays(calls: list[tuple[Update, LayerLook]]) -> bool:
    """Whether the frozen parameters really do not move: a momentum encoder's are moved by hand."""
    weights = {str((layer.weight.mean, layer.weight.std, layer.weight.corner)) for _, layer in calls if layer.weight}
    return len(weights) == 1


def _has_twin(main: RankRun, model: str, calls: list[tuple[Update, LayerLook]]) -> bool:
    """Whether what is frozen is the copy of something that trains: a target network, a momentum teacher."""
    params = main.models[model].parameters
    layer = calls[0][1]
    trained = {p for update in main.updates for owner in update.owners for p in held_by(main, owner)}
    if not any(info.requires_grad and info.id in trained for info in params):
        # A model of its own: compared with the others as a whole.
        shapes = [info.shape for info in params]
        return any(_contains(others, shapes) for others in _others(main, model))
    if not layer.unrecorded:
        return False
    parts = layer.path.split(".")
    for depth in range(1, len(parts)):
        prefix = ".".join(parts[:depth]) + "."
        below = [info for info in params if f".{info.name}".find(f".{prefix}") >= 0]
        rest = [info for info in params if info not in below]
        if len(below) > 2 and _contains([i.shape for i in rest], [i.shape for i in below]):
            return True
    return False


def _others(main: RankRun, model: str) -> list[list[list[int]]]:
    """The shapes of the parameters that the other models have besides: one of them may hold this one as a part."""
    ids = {info.id for info in main.models[model].parameters}
    return [[info.shape for info in other.parameters if info.id not in ids] for other in main.models.values()]


def _contains(row: list[list[int]], part: list[list[int]]) -> bool:
    return bool(part) and any(row[at : at + len(part)] == part for at in range(len(row) - len(part) + 1))


def _tell(main: RankRun, model: str, drifting: list[list[tuple[Update, LayerLook]]]) -> Found:
    update, layer = min((calls[0] for calls in drifting), key=lambda first: (first[0].index, first[1].index))
    names = [calls[0][1].path or calls[0][1].cls for calls in drifting]
    name = main.models[model].name
    before = [event for event in main.of(ModeChanged) if update.events and event.at < update.events[-1].at]
    switch = next((event for event in reversed(before) if event.training and event.model in {model, None}), None)
    call = next((call for made in update.rounds for call in made.calls if call.model == model), None)
    return found(
        switch or call or layer,
        update.index,
        f"{count(len(names), 'batch norm')} of {name} with frozen weights ({listed(names)}) run in training "
        f"mode while other layers train: the running statistics move with every batch, so the frozen "
        f"part changes all the same",
        facts={"model": name, "layers": names[:32], "count": len(names)},
        remedy="  {line}\n+ for norm in frozen_norms:  # after every train()\n+     norm.eval()",
    )


def bad() -> None:
    import torch
    from torch import nn

    torch.manual_seed(0)
    inputs = torch.randn(64, 8) + 1
    targets = (inputs[:, 0] > 1).long()
    backbone = nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU()).requires_grad_(False)
    model = nn.Sequential(backbone, nn.Linear(16, 2))
    optimizer = torch.optim.SGD(model[1].parameters(), lr=0.1)
    for _epoch in range(2):
        model.train()  # fires
        for batch in torch.randperm(64).split(16):
            loss = nn.functional.cross_entropy(model(inputs[batch]), targets[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def good() -> None:
    import torch
    from torch import nn

    torch.manual_seed(0)
    inputs = torch.randn(64, 8)
    targets = (inputs[:, 0] > 0).long()
    backbone = nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU())
    model = nn.Sequential(backbone, nn.BatchNorm1d(16), nn.Linear(16, 2))
    backbone.requires_grad_(False)
    optimizer = torch.optim.SGD(model[1:].parameters(), lr=0.1)
    for _epoch in range(2):
        model.train()
        backbone.eval()
        for batch in torch.randperm(64).split(16):
            loss = nn.functional.cross_entropy(model(inputs[batch]), targets[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
