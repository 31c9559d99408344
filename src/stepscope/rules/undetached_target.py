"""The target of a regression moves with the network that chases it: it was not detached.

What it sees: a loss on the difference of a network's output and a constant plus a multiple of the same
network's output (``reward + gamma * net(next_state)``), with gradients flowing into both. Or: how far a
value that the loss fits lies from its target (an advantage) multiplies another part of the loss, and
gradients flow into it there, too.

Why it hurts: the loss can be made small by moving the target instead of the prediction. In
temporal-difference learning that is the residual gradient: slower, biased where transitions are
random, and easily worse than no learning. And a policy's loss is made small by moving the estimate of
the value, away from what it is fitted to.

What to do: compute the target under ``torch.no_grad()``, or ``detach()`` it; of an advantage, detach the value.

When to ignore it: where the gradient through the target is wanted (residual-gradient methods).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepscope.checking.rule import NothingToJudge, Rule, found
from stepscope.checking.words import count

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepscope.checking.rule import Found
    from stepscope.record.look import MovingTarget
    from stepscope.record.run import Run

RULE = Rule(phase="gradients", evidence="hint", severity="warning")


def check(run: Run) -> Iterator[Found]:
    looks = [u for u in run.main.looks if u.look is not None and u.look.graphs]
    if not looks:
        raise NothingToJudge("no update with a backward was looked at closely")
    seen = [(u.index, target) for u in looks if u.look is not None for target in u.look.moving_targets]
    told: set[tuple[str, int]] = set()
    for update, target in seen:
        place = (target.file, target.line)
        if place in told:
            continue
        told.add(place)
        often = len({index for index, other in seen if (other.file, other.line) == place})
        yield _tell(target, update, often, len(looks))


def _tell(target: MovingTarget, update: int, often: int, looks: int) -> Found:
    behind = count(target.parameters, "parameter")
    so_often = f"in {often} of {looks} updates that were looked at closely"
    if target.difference.startswith("Mul"):
        message = (
            "the difference that is computed here weighs another part of the loss, but gradients flow into it there, "
            f"too: {behind} of the network lie behind it ({so_often}); so what it weighs also moves the output that "
            "the loss fits to its target"
        )
        remedy = "+ # subtract the network's output detached: output.detach()\n  {line}"
    else:
        message = (
            "what is computed here serves as a target, but gradients flow into it: "
            f"{behind} of the network lie behind the target and behind the prediction alike ({so_often}); so training "
            "also moves the target towards the prediction"
        )
        remedy = "+ with torch.no_grad():\n      {line}"
    return found(target, update, message, facts={"parameters": target.parameters, "looks": often}, remedy=remedy)


def bad() -> None:
    import torch
    from torch import nn

    torch.manual_seed(0)
    values = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(values.parameters(), lr=0.05)
    states = torch.randn(65, 4)
    rewards = states[1:].sum(1)
    for start in range(0, 64, 16):
        part = slice(start, start + 16)
        following = values(states[start + 1 : start + 17]).squeeze(1)
        target = rewards[part] + 0.9 * following  # fires
        loss = nn.functional.mse_loss(values(states[part]).squeeze(1), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def good() -> None:
    import torch
    from torch import nn

    torch.manual_seed(0)
    values = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(values.parameters(), lr=0.05)
    states = torch.randn(65, 4)
    rewards = states[1:].sum(1)
    for start in range(0, 64, 16):
        part = slice(start, start + 16)
        following = values(states[start + 1 : start + 17]).squeeze(1).detach()
        target = rewards[part] + 0.9 * following
        loss = nn.functional.mse_loss(values(states[part]).squeeze(1), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
