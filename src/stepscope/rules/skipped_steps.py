"""The GradScaler skips step after step, because gradients are not finite.

What it sees: calls of ``scaler.step`` after which the optimizer had not stepped. That a few first
steps are skipped while the scale settles is normal; here they are skipped after it has settled, or
although the scale has fallen so low that it cannot be the reason.

Why it hurts: a skipped step trains nothing. The loop goes on as if nothing were wrong, the scale
is halved each time, and what is not finite stays hidden: without the scaler the weights would be NaN.

What to do: find what is not finite (a masked softmax row, a square root at 0, a division by 0); run a
batch without the scaler, and look at the first loss or gradient that is not finite.

When to ignore it: where only the first few steps of a run are skipped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepscope.checking.rule import NothingToJudge, Rule, found
from stepscope.checking.words import count, figure, share
from stepscope.record.events import Backward, OptimizerStepped, ScalerUsed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepscope.checking.rule import Found
    from stepscope.record.run import RankRun, Run

RULE = Rule(phase="gradients", evidence="proof")

#: Skips after the first real step: at least so many, and such a share of the steps.
_SKIPS, _SHARE = 4, 0.2
#: A run in which no step was real: so many skips, and a scale too low to be the reason (or more, where it is unknown).
_FIRST_SKIPS, _LOW_SCALE, _BLIND_SKIPS = 6, 1.0, 26


def check(run: Run) -> Iterator[Found]:
    main = run.main
    calls = [event for event in main.of(ScalerUsed) if event.action in {"step", "skip"}]
    if not calls:
        raise NothingToJudge("no GradScaler was used")
    for owner in dict.fromkeys(event.optimizer for event in calls):
        steps, skips = _outcomes([event for event in calls if event.optimizer == owner])
        if skips and _too_many(steps, skips):
            yield _tell(main, owner, steps, skips)


def _outcomes(calls: list[ScalerUsed]) -> tuple[list[bool], list[ScalerUsed]]:
    """For each call of ``step`` whether it was real, and the skipped ones."""
    real: list[bool] = []
    skips = []
    for event in calls:
        if event.action == "step":
            real.append(True)
        elif real:
            real[-1] = False
            skips.append(event)
    return real, skips


def _too_many(real: list[bool], skips: list[ScalerUsed]) -> bool:
    if any(real):
        settled = real[real.index(True) :]
        skipped = settled.count(False)
        return skipped >= _SKIPS and skipped >= _SHARE * len(settled)
    scale = skips[-1].scale
    if scale is None:
        return len(skips) >= _BLIND_SKIPS
    return len(skips) >= _FIRST_SKIPS and float(scale) <= _LOW_SCALE


def _tell(main: RankRun, owner: str | None, real: list[bool], skips: list[ScalerUsed]) -> Found:
    first = skips[0]
    before = sum(1 for event in main.of(OptimizerStepped) if event.at < first.at and event.optimizer == owner)
    name = main.optimizer_name(owner) if owner else "the optimizer"
    origin = next((b.origin for b in main.of(Backward) if b.origin is not None and (b.broken or b.scale)), None)
    why = ""
    if origin is not None and origin.words:
        line = f" in line {origin.made_line}" if origin.made_line else ""
        why = f"; what is not finite began with {origin.words}{line}"
    scale = f", and the scale fell to {figure(skips[-1].scale)}" if skips[-1].scale is not None else ""
    return found(
        first,
        before + 1,
        f"{len(skips)} of {count(len(real), 'step')} of {name} were skipped ({share(len(skips) / len(real))}), because "
        f"gradients were not finite{scale}{why}",
        facts={
            "skipped": len(skips),
            "of": len(real),
            "scale": float(skips[-1].scale) if skips[-1].scale is not None else None,
            "began_with": origin.words if origin else "",
        },
    )


def bad() -> None:
    import torch
    from torch import nn

    torch.manual_seed(0)
    model = nn.Linear(4, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    scaler = torch.amp.GradScaler("cpu", init_scale=256.0)
    inputs, targets = torch.randn(160, 4), torch.randn(160, 3)
    known = torch.rand(160, 1) > 0.1
    for start in range(0, 160, 16):
        part = slice(start, start + 16)
        error = (model(inputs[part]) - targets[part]) * known[part]
        loss = (error**2).sum(1).sqrt().mean()
        optimizer.zero_grad()
        scaler.scale(loss).backward()
        scaler.step(optimizer)  # fires
        scaler.update()


def good() -> None:
    import torch
    from torch import nn

    torch.manual_seed(0)
    model = nn.Linear(4, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    scaler = torch.amp.GradScaler("cpu", init_scale=256.0)
    inputs, targets = torch.randn(160, 4), torch.randn(160, 3)
    known = torch.rand(160, 1) > 0.1
    for start in range(0, 160, 16):
        part = slice(start, start + 16)
        error = (model(inputs[part]) - targets[part]) * known[part]
        loss = ((error**2).sum(1) + 1e-6).sqrt().mean()
        optimizer.zero_grad()
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
