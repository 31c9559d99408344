"""Parameters were to be frozen, by an attribute that does nothing.

What it sees: `module.requires_grad = False` (torch asks parameters, not modules), or a misspelt
attribute on parameters (`param.require_grad = False`), while these very parameters still require
gradients and an optimizer still trains them.

Why it hurts: what was to stay as it is (a pretrained encoder, a fixed loss network) changes with every step.

What to do: `module.requires_grad_(False)`, or `param.requires_grad = False` for each parameter.

When to ignore it: where the attribute is your own and means something else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepscope.checking.readings.holding import holdings, where_made
from stepscope.checking.readings.loop import held_by
from stepscope.checking.rule import NothingToJudge, Rule, found
from stepscope.checking.words import count, figure

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepscope.checking.rule import Found
    from stepscope.record.holding import Misspelt
    from stepscope.record.run import RankRun, Run
    from stepscope.record.updates import Update

RULE = Rule(phase="trained", evidence="proof")


def check(run: Run) -> Iterator[Found]:
    main = run.main
    if not holdings(main):
        raise NothingToJudge("nobody asked which parameters can train")
    told: set[tuple[str, str, str, int]] = set()
    for update, holding in holdings(main):
        for one in holding.misspelt:
            key = (one.attribute, one.cls, one.path, one.line)
            trained = [o for o in update.owners if set(one.learning) & _moved(update, o) & held_by(main, o)]
            if not one.value and trained and key not in told:
                told.add(key)
                yield _tell(main, update, one, trained[0])


def _moved(update: Update, owner: str) -> set[str]:
    """The parameters that ``owner`` changed in this update."""
    parameters = update.look.parameters if update.look else []
    return {p.id for p in parameters if p.optimizer == owner and p.update_norm}


def _tell(main: RankRun, update: Update, one: Misspelt, owner: str) -> Found:
    optimizer = main.optimizer_name(owner)
    moved = _moved(update, owner) & set(one.learning)
    looks = update.look.parameters if update.look else []
    most = max((float(p.ratio) for p in looks if p.id in moved and isinstance(p.ratio, (int, float))), default=0.0)
    if one.on == "module":
        what = f"{one.cls}.{one.attribute} = False is an attribute of the module; torch asks its parameters only"
        remedy = "- {line}\n+ module.requires_grad_(False)"
    else:
        what = f"the parameters got an attribute {one.attribute} = False; torch asks for requires_grad"
        remedy = "- {line}\n+ param.requires_grad = False"
    return found(
        one if one.line else where_made(main, owner),
        update.index,
        f"{what}. {len(one.learning):,} of {count(len(one.parameters), 'parameter')} still require gradients, and "
        f"{optimizer}.step() moved {len(moved):,} of them, by up to {figure(100 * most, 2)} % of their norm here",
        facts={"attribute": one.attribute, "on": one.on, "parameters": len(one.learning), "moved": len(moved)},
        remedy=remedy,
        evidence="hint" if one.own else "proof",
    )


def bad() -> None:
    import torch
    from torch import nn

    torch.manual_seed(0)
    encoder, head = nn.Sequential(nn.Linear(4, 8), nn.Tanh()), nn.Linear(8, 2)
    encoder.requires_grad = False  # type: ignore[assignment]  # fires
    optimizer = torch.optim.SGD([*encoder.parameters(), *head.parameters()], lr=0.1)
    inputs = torch.randn(64, 4)
    targets = (inputs[:, 0] > 0).long()
    for index in torch.randperm(64).split(16):
        optimizer.zero_grad()
        nn.functional.cross_entropy(head(encoder(inputs[index])), targets[index]).backward()
        optimizer.step()


def good() -> None:
    import torch
    from torch import nn

    torch.manual_seed(0)
    encoder, head = nn.Sequential(nn.Linear(4, 8), nn.Tanh()), nn.Linear(8, 2)
    encoder.requires_grad_(False)
    optimizer = torch.optim.SGD(head.parameters(), lr=0.1)
    inputs = torch.randn(64, 4)
    targets = (inputs[:, 0] > 0).long()
    for index in torch.randperm(64).split(16):
        optimizer.zero_grad()
        nn.functional.cross_entropy(head(encoder(inputs[index])), targets[index]).backward()
        optimizer.step()
