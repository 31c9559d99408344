"""A loss or a gradient is not a finite number, and the optimizer applies it.

What it sees: a backward whose gradients are NaN or infinite, followed by a step that uses them. The
graph behind the loss tells where that began: the first operation whose input was finite and whose
result, or slope, was not (a logarithm of 0, a division by 0, the square root of 0 in a distance, a
softmax over a row in which everything is masked).

Why it hurts: one such gradient makes every weight it reaches NaN, and from then on the network
returns NaN. Nothing raises.

What to do: keep the input of that operation inside its domain: add a small number before it, clamp
it, use the combined function (``log_softmax``, ``xlogy``, ``F.normalize``), or leave the samples out
*before* the operation: ``where`` after it does not help, since 0 times NaN is NaN in backward.

When to ignore it: in a learning-rate range test, where the training is driven until it diverges.
"""

from __future__ import annotations

import math
from statistics import median
from typing import TYPE_CHECKING

from stepscope.checking.rule import NothingToJudge, Rule, found
from stepscope.checking.words import count, figure, listed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepscope.checking.rule import Found
    from stepscope.record.events import Backward
    from stepscope.record.run import RankRun, Run
    from stepscope.record.updates import Update

RULE = Rule(phase="gradients", evidence="proof")

#: A loss that has grown so much before: numbers grew too large, by whatever drove them.
_DIVERGED = 30.0


def check(run: Run) -> Iterator[Found]:
    main = run.main
    known = [(u, r.backward) for u in main.updates for r in u.rounds if r.backward is not None and r.value is not None]
    if not known:
        raise NothingToJudge("no loss is known")
    bad = [(u, b) for u, b in known if b.scale is None and not b.failed and u.steps and _broken(b)]
    if bad:
        yield _tell(main, *bad[0], len({u.index for u, _ in bad}))


def _broken(backward: Backward) -> bool:
    """Whether a backward gave gradients that are not finite (of what lies on a GPU only the loss is known)."""
    return backward.broken > 0


def _tell(main: RankRun, update: Update, backward: Backward, updates: int) -> Found:
    origin = backward.origin
    value = float(backward.value) if backward.value is not None else math.nan
    what = f"the loss is {figure(value)}" if not math.isfinite(value) else f"the loss is {figure(value)}, but"
    names = listed([f"'{name}'" for name in backward.broken_names])
    told = f"in update {update.index} {what} {'and ' if not math.isfinite(value) else ''}the gradients of "
    told += f"{count(backward.broken, 'parameter')} ({names}) are not finite; the optimizer applied them, and so it "
    told += f"went in {count(updates, 'update')}"
    diverged = _diverged(main, update)
    certain = origin is not None and origin.certain and not diverged
    at = (backward.file, backward.line)
    if origin is not None and origin.made_file is not None and not diverged:
        at = (origin.made_file, origin.made_line)
    if diverged:
        words = "the loss had grown without bound before"
    elif origin is None:
        words = "which operation made them cannot be read from the graph"
    elif origin.words:
        words = f"it began with {origin.words}"
    else:
        words = "it came in with the batch"
    return found(
        at,
        update.index,
        f"{told}: {words}",
        facts={
            "loss": value if math.isfinite(value) else figure(value),
            "parameters": backward.broken,
            "operation": origin.operation if origin else "",
            "began_with": words,
            "updates": updates,
        },
        remedy="- {line}\n+ the same with its input kept inside the domain (clamped, masked before)",
        evidence="proof" if certain else "hint" if diverged else "strong",
    )


def _diverged(main: RankRun, update: Update) -> bool:
    """Whether the losses before ``update`` grew far beyond those at the beginning."""
    before = [u.loss for u in main.updates if u.index < update.index and u.owners == update.owners]
    losses = [abs(loss) for loss in before if loss is not None and math.isfinite(loss)]
    if not losses:
        return False
    return max(losses[-3:]) > _DIVERGED * max(median(losses[: max(len(losses) // 2, 1)]), 1e-3)


def bad() -> None:
    import torch
    from torch import nn

    torch.manual_seed(0)
    model = nn.Linear(4, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    inputs = torch.randn(64, 4)
    targets = torch.randn(64, 3)
    weights = torch.rand(64) > 0.1
    weights[36] = False
    for start in range(0, 64, 16):
        part = slice(start, start + 16)
        error = (model(inputs[part]) - targets[part]) * weights[part].unsqueeze(1)
        distance = (error**2).sum(1).sqrt()  # fires
        loss = distance.mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def good() -> None:
    import torch
    from torch import nn

    torch.manual_seed(0)
    model = nn.Linear(4, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    inputs = torch.randn(64, 4)
    targets = torch.randn(64, 3)
    weights = torch.rand(64) > 0.1
    weights[36] = False
    for start in range(0, 64, 16):
        part = slice(start, start + 16)
        error = (model(inputs[part]) - targets[part]) * weights[part].unsqueeze(1)
        distance = ((error**2).sum(1) + 1e-12).sqrt()
        loss = distance.mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
