"""Gradients fade on their way back through the layers: the early ones learn nothing.

What it sees: in close looks, what comes back to the outputs of the first layers is many orders of
magnitude smaller than what comes back to those of the last, and so are the gradients of their weights.

Why it hurts: the early layers move by next to nothing in each step, whatever the loss. The last
layers can only make the best of features that are as they were initialised.

What to do: keep the scale through the depth: an initialisation that fits the activation (Kaiming for
ReLU, Xavier for tanh), ReLU or GELU in place of stacked sigmoids, norms, residual connections.

When to ignore it: where the early layers are not meant to learn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepscope.checking.readings.depth import along_depth, fades, last_backward, looked_at
from stepscope.checking.readings.loop import in_framework
from stepscope.checking.rule import NothingToJudge, Rule, found
from stepscope.checking.words import count, figure

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepscope.checking.readings.depth import Profile
    from stepscope.checking.rule import Found
    from stepscope.record.run import Run

RULE = Rule(phase="gradients", evidence="strong", severity="warning")

#: A network is deep from here on; looks in which it must be so, and the share of all looks.
_DEPTH, _LOOKS, _SHARE = 4, 4, 0.8


def check(run: Run) -> Iterator[Found]:
    main = run.main
    for owner in main.optimizers:
        profiles = [p for u in looked_at(main, owner) if (p := along_depth(u, owner)) and p.depth >= _DEPTH]
        faded = [profile for profile in profiles if fades(profile)]
        if len(faded) >= _LOOKS and len(faded) >= _SHARE * len(profiles) and faded[-1] is profiles[-1]:
            yield _tell(run, faded, len(profiles))
            return
    if not any(along_depth(u, owner) for owner in main.optimizers for u in looked_at(main, owner)):
        raise NothingToJudge("no gradients of layers were looked at closely")


def _tell(run: Run, faded: list[Profile], looks: int) -> Found:
    main = run.main
    one = faded[0]
    backward = last_backward(one.update)
    at = backward if backward is not None and not in_framework(main, backward) else one.layer
    times = f"1/{figure(one.last / one.first, 2)} of" if one.first else "nothing at all of"
    return found(
        at,
        one.update.index,
        f"gradients fade with depth: the output of '{one.layer.path or one.layer.cls}' gets {times} what comes back to "
        f"'{one.end.path or one.end.cls}', {one.depth} layers on (typical sizes {figure(one.first)} and "
        f"{figure(one.last)}); so it was in {len(faded)} of {count(looks, 'look')}, and the early layers hardly move",
        facts={"first": one.first, "last": one.last, "depth": one.depth, "looks": len(faded)},
    )


def bad() -> None:
    import torch
    from torch import nn

    torch.manual_seed(0)
    layers = [layer for _ in range(9) for layer in (nn.Linear(8, 8), nn.Sigmoid())]
    model = nn.Sequential(*layers, nn.Linear(8, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    inputs = torch.randn(160, 8)
    targets = inputs.sum(1, keepdim=True).sin()
    for start in range(0, 160, 16):
        loss = nn.functional.mse_loss(model(inputs[start : start + 16]), targets[start : start + 16])
        optimizer.zero_grad()
        loss.backward()  # fires
        optimizer.step()


def good() -> None:
    import torch
    from torch import nn

    torch.manual_seed(0)
    layers = [layer for _ in range(4) for layer in (nn.Linear(8, 8), nn.LayerNorm(8), nn.Tanh())]
    model = nn.Sequential(*layers, nn.Linear(8, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    inputs = torch.randn(160, 8)
    targets = inputs.sum(1, keepdim=True).sin()
    for start in range(0, 160, 16):
        loss = nn.functional.mse_loss(model(inputs[start : start + 16]), targets[start : start + 16])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
