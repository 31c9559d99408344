"""A scaled loss is stepped with past the GradScaler, or an unscaled one through it.

What it sees: the loss was multiplied by the scale, and ``optimizer.step()`` runs on these gradients
without ``scaler.step(optimizer)`` or ``scaler.unscale_(optimizer)``; or a second loss is backpropagated
without the scale into gradients that the scaler then divides by it.

Why it hurts: past the scaler, the step applies gradients that are thousands of times too large, and
nothing keeps infinite ones out (Adam hides the size, and loses the meaning of its epsilon, of clipping
and of the moments when the scale changes). Through it, the unscaled loss counts for almost nothing.

What to do: scale every loss, and step by ``scaler.step(optimizer)`` followed by ``scaler.update()``.

When to ignore it: where the script divides the gradients by the scale itself.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from stepscope.checking.readings.loop import gathered
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


def check(run: Run) -> Iterator[Found]:
    main = run.main
    if not any(use.action == "scale" for use in main.of(ev.ScalerUsed)):
        raise NothingToJudge("no loss was scaled by a GradScaler")
    met: dict[tuple[str, str | None, int], list[Scaled]] = {}
    for one in meetings(main):
        if not isinstance(one.event, ev.GradientsClipped) and one.scale != 1.0:
            met.setdefault((one.owner, one.event.file, one.event.line), []).append(one)
    for (owner, _, _), ones in met.items():
        if ones[0].mixed:
            yield _mixed(main, owner, ones)
        elif not _divided_by_hand(main, owner, ones):
            yield _bypassed(main, owner, ones)


def _divided_by_hand(main: RankRun, owner: str, steps: list[Scaled]) -> bool:
    """Whether the gradients that were applied are measured to be others than those that backward left."""
    numbers = {step.update for step in steps}
    for update in main.updates:
        looks = gathered(update, owner)
        if update.index in numbers and update.look is not None and looks and not update.clips:
            held = [p for p in update.look.parameters if p.optimizer == owner]
            norms = [float(p.gradient_norm) for p in held if p.gradient_norm is not None]
            return not math.isclose(math.hypot(*norms), float(looks[-1].after), rel_tol=0.01)
    return False


def _bypassed(main: RankRun, owner: str, steps: list[Scaled]) -> Found:
    first = steps[0]
    optimizer = main.optimizer_name(owner)
    size = "the loss scale" if first.scale is None else f"{figure(first.scale)}, the loss scale,"
    return found(
        first.event,
        first.update,
        f"{optimizer}.step() applies gradients of a scaled loss past the GradScaler: they are {size} x what the loss "
        f"asked for, and infinite ones are not kept out; so it went in {count(len(steps), 'step')}",
        facts={"optimizer": optimizer, "scale": first.scale, "steps": len(steps), "mixed": False},
        remedy=f"- {{line}}\n+ scaler.step({optimizer})\n+ scaler.update()",
    )


def _mixed(main: RankRun, owner: str, backwards: list[Scaled]) -> Found:
    first = backwards[0]
    optimizer = main.optimizer_name(owner)
    size = "the loss scale" if first.scale is None else f"{figure(first.scale)}, the loss scale"
    return found(
        first.event,
        first.update,
        f"this loss is backpropagated without the scale, into gradients of {optimizer} that the GradScaler divides by "
        f"{size}: it hardly counts; so it went {count(len(backwards), 'time')}",
        facts={"optimizer": optimizer, "scale": first.scale, "steps": len(backwards), "mixed": True},
        remedy="- loss.backward()\n+ scaler.scale(loss).backward()",
        evidence="strong",
    )


def bad() -> None:
    import torch
    from torch import nn

    torch.manual_seed(0)
    model = nn.Linear(4, 2)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    inputs, targets = torch.randn(64, 4), torch.randint(2, (64,))
    for start in range(0, 64, 16):
        loss = nn.functional.cross_entropy(model(inputs[start : start + 16]), targets[start : start + 16])
        optimizer.zero_grad()
        scaler.scale(loss).backward()
        optimizer.step()  # fires


def good() -> None:
    import torch
    from torch import nn

    torch.manual_seed(0)
    model = nn.Linear(4, 2)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    inputs, targets = torch.randn(64, 4), torch.randint(2, (64,))
    for start in range(0, 64, 16):
        loss = nn.functional.cross_entropy(model(inputs[start : start + 16]), targets[start : start + 16])
        optimizer.zero_grad()
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
