"""The optimizer steps with a learning rate of zero.

What it sees: in every step that was watched, or in a long row of steps from the first on, every
parameter group of an optimizer has a learning rate of exactly 0.

Why it hurts: nothing moves. The loss wanders only because the batches differ.

What to do: look at how the rate is computed: an integer division, a rounding, or a schedule whose
steps are counted in other units than it was made for.

When to ignore it: a warm-up that starts at 0 has one such step, or a few; a part of the model may be
held back on purpose for a while.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepscope.checking.rule import NothingToJudge, Rule, found
from stepscope.checking.words import count

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepscope.checking.finding import Evidence
    from stepscope.checking.rule import Found
    from stepscope.record.events import OptimizerStepped
    from stepscope.record.run import RankRun, Run
    from stepscope.record.updates import Update

RULE = Rule(phase="clear and step", evidence="proof")

#: A warm-up may begin with a few of them.
FEWEST = 3
#: So many from the first on are more than a warm-up's beginning, though the rate rises later.
MANY = 20


def check(run: Run) -> Iterator[Found]:
    main = run.main
    steps = [(update, step) for update in main.updates for step in update.steps if step.rates]
    if not steps:
        raise NothingToJudge("no optimizer stepped with a learning rate that is known")
    for owner in main.optimizers:
        own = [(update, step) for update, step in steps if step.optimizer == owner]
        groups = len(main.optimizers[owner].groups)
        zero = [own[place] for place in range(_leading_zeros([step for _, step in own], groups))]
        if len(zero) < FEWEST or any(_moved(update, owner) for update, _ in zero):
            continue
        yield from _tell(main, owner, zero, own)


def _leading_zeros(steps: list[OptimizerStepped], groups: int) -> int:
    """How many steps from the first on had a rate of 0 in every group (a rate on a device is not known)."""
    zero = [len(step.rates) >= groups and all(rate == 0 for rate in step.rates) for step in steps]
    return (*zero, False).index(False)


def _moved(update: Update, owner: str) -> bool:
    """Whether a step with rate 0 moved weights all the same: the rate is not what drives this optimizer."""
    looked = update.look.parameters if update.look is not None else []
    return any(float(p.update_norm or 0.0) > 0 for p in looked if p.optimizer == owner)


def _tell(
    main: RankRun, owner: str, zero: list[tuple[Update, OptimizerStepped]], own: list[tuple[Update, OptimizerStepped]]
) -> Iterator[Found]:
    update, step = zero[0]
    optimizer = main.optimizer_name(owner)
    always = len(zero) == len(own)
    last = zero[-1][0].index
    others = any(rate not in {0, None} for u in main.updates if u.index <= last for s in u.steps for rate in s.rates)
    weaker: Evidence | None = None
    if not always:
        weaker = "hint" if others or len(zero) < MANY else "strong"
        if len(zero) < FEWEST + 2:
            return
    elif others:
        weaker = "strong"
    so_far = f"all {count(len(zero), 'step')}" if always else f"the first {count(len(zero), 'step')}"
    yield found(
        step,
        update.index,
        f"{optimizer} steps with a learning rate of 0: {so_far} that were watched moved nothing",
        facts={"optimizer": optimizer, "steps": len(zero), "always": always},
        evidence=weaker,
    )


def bad() -> None:
    import torch
    from torch import nn

    torch.manual_seed(0)
    model = nn.Linear(4, 2)
    rate = 0.05 * (16 // 256)
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    inputs, targets = torch.randn(64, 4), torch.randint(2, (64,))
    for start in range(0, 64, 16):
        loss = nn.functional.cross_entropy(model(inputs[start : start + 16]), targets[start : start + 16])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()  # fires


def good() -> None:
    import torch
    from torch import nn

    torch.manual_seed(0)
    model = nn.Linear(4, 2)
    rate = 0.05 * (16 / 256)
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    inputs, targets = torch.randn(64, 4), torch.randint(2, (64,))
    for start in range(0, 64, 16):
        loss = nn.functional.cross_entropy(model(inputs[start : start + 16]), targets[start : start + 16])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
