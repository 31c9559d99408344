"""What is backpropagated is a fresh leaf: no gradient can get from it to any weight.

What it sees: backward begins at one number that no operation made, and fills no gradient; so it was
at every backward on that line. A number made by ``torch.tensor(loss.item(), requires_grad=True)``,
or one that was told ``requires_grad_()`` after its graph was lost, looks like a loss and is none.

Why it hurts: the weights get no gradient at all. The loss is printed, goes up and down with the
batches, and the model stays as it was initialised.

What to do: backpropagate the tensor that the loss function returned. If it has no ``grad_fn``, look
for what cut it off (``argmax``, ``item``, ``detach``, NumPy) instead of setting ``requires_grad``.

When to ignore it: never, where weights are meant to be trained by this backward.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepscope.checking.readings.loop import in_framework, update_of
from stepscope.checking.rule import NothingToJudge, Rule, found
from stepscope.checking.words import count
from stepscope.record.events import Backward

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepscope.checking.rule import Found
    from stepscope.record.run import RankRun, Run

RULE = Rule(phase="gradients", evidence="proof")

#: From this share of its backwards on, a line that sometimes has a real loss is worth a hint.
_MOST = 0.5


def check(run: Run) -> Iterator[Found]:
    main = run.main
    backwards = [b for b in main.of(Backward) if not b.failed]
    if not backwards:
        raise NothingToJudge("nothing was backpropagated")
    if not main.models and not main.optimizers:
        return
    places: dict[tuple[str | None, int], list[Backward]] = {}
    for backward in backwards:
        places.setdefault((backward.file, backward.line), []).append(backward)
    for there in places.values():
        lost = [b for b in there if _reaches_nothing(b)]
        if len(lost) == len(there) or len(lost) > _MOST * len(there):
            yield _tell(main, lost, len(there))


def _reaches_nothing(backward: Backward) -> bool:
    lost = backward.rootless or (backward.leaf and all(size == 1 for size in backward.shape))
    return lost and not backward.filled and not backward.inputs


def _tell(main: RankRun, lost: list[Backward], of: int) -> Found:
    first = lost[0]
    update = update_of(main, first)
    made = [cut for u in main.looks if u.look is not None for cut in u.look.cuts if cut.leaf]
    at = made[0] if made and in_framework(main, first) else first
    every = len(lost) == of
    where = f" (it was made a leaf in line {made[0].line})" if made and at is first else ""
    how_often = count(of, "backward") if every else f"{len(lost)} of {count(of, 'backward')}"
    return found(
        at,
        update.index if update else 0,
        f"what is backpropagated here was made by no operation: it is a fresh leaf{where}, and no weight got a "
        f"gradient from it, in {how_often}; the model is not trained by this loss",
        facts={"backwards": len(lost), "of": of},
        remedy="- loss = torch.tensor(loss.item(), requires_grad=True)\n  {line}",
        evidence="proof" if every else "hint",
    )


def bad() -> None:
    import torch
    from torch import nn

    torch.manual_seed(0)
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    inputs = torch.randn(64, 4)
    targets = inputs.sum(1, keepdim=True)
    for start in range(0, 64, 16):
        losses = [nn.functional.mse_loss(model(inputs[i : i + 8]), targets[i : i + 8]) for i in (start, start + 8)]
        loss = torch.tensor(sum(part.item() for part in losses) / 2, requires_grad=True)
        optimizer.zero_grad()
        loss.backward()  # fires
        optimizer.step()


def good() -> None:
    import torch
    from torch import nn

    torch.manual_seed(0)
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    inputs = torch.randn(64, 4)
    targets = inputs.sum(1, keepdim=True)
    for start in range(0, 64, 16):
        losses = [nn.functional.mse_loss(model(inputs[i : i + 8]), targets[i : i + 8]) for i in (start, start + 8)]
        loss = torch.stack(losses).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
