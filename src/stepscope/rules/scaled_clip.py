"""Gradients are clipped while they still carry the loss scale of a GradScaler.

What it sees: a loss was scaled and backpropagated, and its gradients are clipped before
``scaler.unscale_(optimizer)`` has divided them by the scale again.

Why it hurts: the gradients are thousands of times as large as they seem, so clipping cuts them down
in every update, and the scaler then divides by the scale: the step is far smaller than it should be.

What to do: call ``scaler.unscale_(optimizer)`` right before clipping.

When to ignore it: where the limit itself was multiplied by the scale.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from stepscope.checking.readings.scaling import meetings
from stepscope.checking.rule import NothingToJudge, Rule, found
from stepscope.checking.words import count, figure
from stepscope.record import events as ev

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepscope.checking.readings.scaling import Scaled
    from stepscope.checking.rule import Found
    from stepscope.record.run import RankRun, Run

RULE = Rule(phase="clear and step", evidence="proof")

#: Who asks for such a limit wants the norm, not the clipping.
NO_LIMIT = 1e6
#: Above this the limit may well have been multiplied by the scale.
LARGE = 50.0


def check(run: Run) -> Iterator[Found]:
    main = run.main
    if not any(use.action == "scale" for use in main.of(ev.ScalerUsed)):
        raise NothingToJudge("no loss was scaled by a GradScaler")
    met: dict[tuple[str | None, int], list[Scaled]] = {}
    for one in meetings(main):
        clip = one.event
        if isinstance(clip, ev.GradientsClipped) and float(clip.limit) < NO_LIMIT and one.scale != 1.0:
            met.setdefault((clip.file, clip.line), []).append(one)
    for clips in met.values():
        yield _tell(main, clips)


def _tell(main: RankRun, clips: list[Scaled]) -> Found:
    first = clips[0]
    assert isinstance(first.event, ev.GradientsClipped)
    optimizer = main.optimizer_name(first.owner)
    limit = float(first.event.limit)
    cost = ""
    if first.scale is not None:
        cost = f": the limit {figure(limit)} meets gradients that are {figure(first.scale)} x too large"
        norm = first.event.total_norm
        if norm is not None and first.event.by == "norm" and limit < float(norm) < math.inf:
            cost += (
                f", so in update {first.update} a gradient of norm {figure(float(norm) / first.scale)} "
                f"is applied with norm {figure(limit / first.scale)}"
            )
    return found(
        first.event,
        first.update,
        f"the gradients are clipped before scaler.unscale_({optimizer}) takes the loss scale out of them{cost}; "
        f"so it went {count(len(clips), 'time')}",
        facts={"optimizer": optimizer, "limit": limit, "scale": first.scale, "clippings": len(clips)},
        remedy=f"+ scaler.unscale_({optimizer})\n  {{line}}",
        evidence="hint" if limit > LARGE else None,
    )


def bad() -> None:
    import torch
    from torch import nn

    torch.manual_seed(0)
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    inputs, targets = torch.randn(64, 4), torch.randint(2, (64,))
    for start in range(0, 64, 16):
        loss = nn.functional.cross_entropy(model(inputs[start : start + 16]), targets[start : start + 16])
        optimizer.zero_grad()
        scaler.scale(loss).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)  # fires
        scaler.step(optimizer)
        scaler.update()


def good() -> None:
    import torch
    from torch import nn

    torch.manual_seed(0)
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    inputs, targets = torch.randn(64, 4), torch.randint(2, (64,))
    for start in range(0, 64, 16):
        loss = nn.functional.cross_entropy(model(inputs[start : start + 16]), targets[start : start + 16])
        optimizer.zero_grad()
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        scaler.step(optimizer)
        scaler.update()
