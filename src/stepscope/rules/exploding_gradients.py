"""Gradients grow on their way back through the layers, far beyond the weights they are for.

What it sees: in close looks, what comes back to the outputs of the first layers (or the first time
steps) is hundreds of times larger than what comes back to the last, the gradient as a whole is many
times larger than the weights, and nothing clips it. Inside a recurrent layer (``nn.RNN``, ``nn.GRU``,
``nn.LSTM``) the steps cannot be seen: there the gradient of its recurrent weights is at least ten times
what it could be if nothing grew; told as a hint.

Why it hurts: single batches throw the weights far away, plain SGD diverges, and Adam, which divides
by the size, follows only the few directions that explode.

What to do: keep the scale through the depth: an initialisation that fits the activation (a gain of
1 for recurrent weights), norms, residual connections, a gated cell; clip the gradient's norm.

When to ignore it: where the loss is a sum over very many terms on purpose and the steps are small.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepscope.checking.readings.depth import along_depth, growth_through_time, last_backward, looked_at, size_of
from stepscope.checking.readings.loop import in_framework
from stepscope.checking.rule import NothingToJudge, Rule, found
from stepscope.checking.words import count, figure

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepscope.checking.readings.depth import Profile
    from stepscope.checking.rule import Found
    from stepscope.record.look import LayerLook
    from stepscope.record.run import RankRun, Run
    from stepscope.record.updates import Update

RULE = Rule(phase="gradients", evidence="strong", severity="warning")

#: How much more comes back to the first layers than to the last, and how large the gradient is beside the weights.
_GROWTH, _SIZE = 100.0, 10.0
#: How much more it must be at least, by what the recurrent weights got.
_IN_TIME = 10.0
#: A network is deep from here on; looks in which it must be so, and the share of all looks.
_DEPTH, _LOOKS, _SHARE = 4, 4, 0.8


def check(run: Run) -> Iterator[Found]:
    main = run.main
    judged = False
    for owner in main.optimizers:
        profiles = [p for u in looked_at(main, owner) if (p := along_depth(u, owner)) and p.depth >= _DEPTH]
        grown = [profile for profile in profiles if _explodes(profile)]
        if len(grown) >= _LOOKS and len(grown) >= _SHARE * len(profiles):
            yield _tell(main, grown, len(profiles))
            return
        seen = [(u, found) for u in looked_at(main, owner) if (found := growth_through_time(u, owner))]
        wide = [one for one in seen if _explodes_in_time(*one, owner)]
        if len(wide) >= _LOOKS and len(wide) >= _SHARE * len(seen):
            yield _tell_in_time(main, wide, len(seen), owner)
            return
        judged = judged or bool(seen) or any(along_depth(u, owner) for u in looked_at(main, owner))
    if not judged:
        raise NothingToJudge("no gradients of layers were looked at closely")


def _explodes(profile: Profile) -> bool:
    return (
        not profile.update.clips
        and not profile.scaled
        and profile.last_least > 0
        and profile.first_most >= _GROWTH * profile.last_least
        and profile.gradient >= _SIZE * profile.weights
    )


def _explodes_in_time(update: Update, found: tuple[LayerLook, float], owner: str) -> bool:
    gradient, weights = size_of(update, owner)
    scaled = any(r.backward is not None and r.backward.scale is not None for r in update.rounds)
    return not update.clips and not scaled and found[1] >= _IN_TIME and gradient >= _SIZE * weights > 0


def _tell_in_time(main: RankRun, wide: list[tuple[Update, tuple[LayerLook, float]]], looks: int, owner: str) -> Found:
    update, (layer, growth) = wide[0]
    gradient, weights = size_of(update, owner)
    backward = last_backward(update)
    return found(
        backward if backward is not None and not in_framework(main, backward) else layer,
        update.index,
        f"gradients grow through time in {layer.path or layer.cls}: on the way back through its steps they become at "
        f"least {figure(growth, 2)} times as large, and the whole gradient (norm {figure(gradient)}) is "
        f"{figure(gradient / weights, 2)} times as large as the weights; so it was in {len(wide)} of "
        f"{count(looks, 'look')}, and nothing clips it",
        facts={"growth": growth, "gradient_norm": gradient, "weight_norm": weights, "looks": len(wide)},
        remedy="  {line}\n+ torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)",
        evidence="hint",
    )


def _tell(main: RankRun, grown: list[Profile], looks: int) -> Found:
    one = grown[0]
    backward = last_backward(one.update)
    at = backward if backward is not None and not in_framework(main, backward) else one.layer
    return found(
        at,
        one.update.index,
        f"gradients grow with depth: what comes back to the first of {one.depth} layers or steps is "
        f"{figure(one.first_most / one.last_least, 2)} times what comes back to the last "
        f"(typical sizes {figure(one.first_most)} and {figure(one.last_least)}), and the whole gradient (norm "
        f"{figure(one.gradient)}) is {figure(one.gradient / one.weights, 2)} times as large as the weights; so it was "
        f"in {len(grown)} of {count(looks, 'look')}, and nothing clips it",
        facts={
            "first": one.first_most,
            "last": one.last_least,
            "gradient_norm": one.gradient,
            "weight_norm": one.weights,
            "looks": len(grown),
        },
        remedy="  {line}\n+ torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)",
    )


def bad() -> None:
    import torch
    from torch import nn

    torch.manual_seed(0)
    first, layers = nn.Linear(4, 16), [nn.Linear(16, 16) for _ in range(5)]
    for layer in layers:
        nn.init.normal_(layer.weight)
    model = nn.Sequential(first, *(part for layer in layers for part in (nn.ReLU(), layer)), nn.Linear(16, 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    inputs = torch.randn(160, 4)
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
    first, layers = nn.Linear(4, 16), [nn.Linear(16, 16) for _ in range(5)]
    for layer in layers:
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    model = nn.Sequential(first, *(part for layer in layers for part in (nn.ReLU(), layer)), nn.Linear(16, 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    inputs = torch.randn(160, 4)
    targets = inputs.sum(1, keepdim=True).sin()
    for start in range(0, 160, 16):
        loss = nn.functional.mse_loss(model(inputs[start : start + 16]), targets[start : start + 16])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
