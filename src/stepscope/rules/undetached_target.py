"""The target of a regression moves with the network that chases it: it was not detached.

What it sees: a loss on the difference of a network's output and a constant plus a multiple of the same
network's output (``reward + gamma * net(next_state)``), with gradients flowing into both.

Why it hurts: the loss can be made small by moving the target instead of the prediction. In
temporal-difference learning that is the residual gradient: slower, biased where transitions are
random, and easily worse than no learning.

What to do: compute the target under ``torch.no_grad()``, or ``detach()`` it.

When to ignore it: where the gradient through the target is wanted (residual-gradient methods).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepscope.checking.rule import NothingToJudge, Rule, found
from stepscope.checking.words import count

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepscope.checking.rule import Found
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
        yield found(
            target,
            update,
            "what is computed here serves as a target, but gradients flow into it: "
            f"{count(target.parameters, 'parameter')} of the network lie behind the target and behind the "
            f"prediction alike (in {often} of {len(looks)} updates that were looked at closely); so training "
            "also moves the target towards the prediction",
            facts={"parameters": target.parameters, "looks": often},
            remedy="+ with torch.no_grad():\n      {line}",
        )


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
