"""Weights in half precision are too coarse for the updates: most of a step is rounded away.

What it sees: weights in bfloat16 or float16 that hold a gradient that is not zero, and that a step with a
learning rate above zero leaves as they were, to the bit; most of the weights, in the steps looked at.

Why it hurts: near 1 a bfloat16 number moves in steps of 1/128. An update smaller than half of that does
not add up over time; it is lost each time, and the training stands still although the loss looks alive.

What to do: keep the weights in float32 and compute under ``torch.autocast``, or use an optimizer that
keeps float32 master weights, rounds stochastically or carries the rounding error along.

When to ignore it: where the optimizer carries the lost parts along by itself.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from stepscope.checking.readings.loop import held_by
from stepscope.checking.rule import NothingToJudge, Rule, found
from stepscope.checking.words import figure, listed, share

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepscope.checking.rule import Found
    from stepscope.record.look import ParameterLook
    from stepscope.record.run import RankRun, Run
    from stepscope.record.updates import Update

RULE = Rule(phase="clear and step", evidence="strong")

#: So much of what has a gradient must stay as it was, in so many looks at least.
MOST = 0.7
FEWEST = 2
#: What torch's own optimizers keep for each weight. Something else may be the rounding error, or master weights.
_KNOWN = frozenset(
    {"exp_avg", "exp_avg_sq", "max_exp_avg_sq", "exp_inf", "momentum_buffer", "square_avg", "grad_avg", "sum"}
    | {"acc_delta", "ax", "mu", "eta", "prev", "step_size"}
)


def check(run: Run) -> Iterator[Found]:
    main = run.main
    halves = {
        info.id
        for seen in main.optimizers.values()
        for info in seen.parameters
        if info.dtype in {"bfloat16", "float16"}
    }
    if not halves:
        raise NothingToJudge("no optimizer holds weights in half precision")
    for owner in main.optimizers:
        if held_by(main, owner) & halves:
            looks = [(u, stuck) for u in main.looks if (stuck := _stuck(u, owner)) is not None]
            lost = [(u, stuck) for u, stuck in looks if stuck >= MOST]
            # A warm-up begins with steps that are too small for a while: the last ones count.
            if len(lost) >= max(FEWEST, len(looks) / 2) and all(stuck >= MOST for _, stuck in looks[-FEWEST:]):
                yield _tell(main, owner, lost, len(looks))


def _half(update: Update, owner: str) -> list[ParameterLook]:
    """The parameters in half precision that a step of ``owner`` was measured on, and that have a gradient."""
    looked = update.look.parameters if update.look is not None else []
    return [
        p
        for p in looked
        if p.optimizer == owner and p.before is not None and p.before.dtype in {"bfloat16", "float16"} and p.gradient
    ]


def _stuck(update: Update, owner: str) -> float | None:
    """The share of the weights with a gradient that the step left as they were; None where there was none."""
    rates = [rate for step in update.steps if step.optimizer == owner for rate in step.rates]
    skipped = update.look is not None and any(o.skipped for o in update.look.optimizers if o.id == owner)
    parameters = _half(update, owner)
    if skipped or not any(float(rate or 0.0) > 0 for rate in rates) or any(set(p.state) - _KNOWN for p in parameters):
        return None
    moved = stuck = 0.0
    for p in parameters:
        if p.gradient is None or p.unchanged is None:
            continue
        elements, zeros = math.prod(p.gradient.shape), float(p.gradient.zeros or 0.0)
        stuck += elements * max(float(p.unchanged) - zeros, 0.0)
        moved += elements * (1.0 - zeros)
    return stuck / moved if moved else None


def _tell(main: RankRun, owner: str, lost: list[tuple[Update, float]], looks: int) -> Found:
    update, stuck = lost[0]
    step = next(step for step in update.steps if step.optimizer == owner)
    parameters = _half(update, owner)
    optimizer = main.optimizer_name(owner)
    dtype = next(p.before.dtype for p in parameters if p.before is not None)
    held = [p.name for p in parameters if p.unchanged == 1.0]
    rate = max(float(rate or 0.0) for rate in step.rates)
    whole = f"; not one number of {listed(held)} moved" if held else ""
    return found(
        step,
        update.index,
        f"{optimizer}.step() leaves {share(stuck)} of the {dtype} weights that have a gradient as they were: at a "
        f"learning rate of {figure(rate)} the change is less than {dtype} can hold{whole}; so it was in {len(lost)} of "
        f"{looks} steps looked at",
        facts={"optimizer": optimizer, "dtype": dtype, "unchanged": stuck, "steps": len(lost), "rate": rate},
    )


def bad() -> None:
    import torch
    from torch import nn

    torch.manual_seed(0)
    model = nn.Linear(4, 2).to(torch.bfloat16)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4)
    inputs, targets = torch.randn(64, 4, dtype=torch.bfloat16), torch.randint(2, (64,))
    for start in range(0, 64, 16):
        loss = nn.functional.cross_entropy(model(inputs[start : start + 16]), targets[start : start + 16])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()  # fires


def good() -> None:
    import torch
    from torch import nn

    torch.manual_seed(0)
    model = nn.Linear(4, 2).to(torch.bfloat16)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    inputs, targets = torch.randn(64, 4, dtype=torch.bfloat16), torch.randint(2, (64,))
    for start in range(0, 64, 16):
        loss = nn.functional.cross_entropy(model(inputs[start : start + 16]), targets[start : start + 16])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
