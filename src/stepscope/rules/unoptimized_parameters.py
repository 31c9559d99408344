"""Parameters get gradients, but no optimizer was ever given them.

What it sees: an optimizer steps, and the same loss reaches new, random parameters of a model (a second
network, a loss with weights of its own, a head that was forgotten) that neither an optimizer nor
anything else ever changes.

Why it hurts: they stay as random as they began, and the rest has to make do with that.

What to do: give the optimizer all parameters that shall learn, or freeze those that shall not.

When to ignore it: where random weights are meant to stay as they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepscope.checking.readings.holding import holdings, never_trained, where_made
from stepscope.checking.readings.loop import held_by
from stepscope.checking.rule import NothingToJudge, Rule, found
from stepscope.checking.words import count, listed, share

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepscope.checking.rule import Found
    from stepscope.record.holding import Loose
    from stepscope.record.run import RankRun, Run
    from stepscope.record.updates import Update

RULE = Rule(phase="trained", evidence="strong")


def check(run: Run) -> Iterator[Found]:
    main = run.main
    known = holdings(main)
    if not known:
        raise NothingToJudge("nobody asked who holds the parameters")
    replaced = {orphan.root for _, holding in known for orphan in holding.orphans if orphan.unheld}
    told: set[str] = set()
    for update, loose, seen_twice in never_trained(main):
        forgotten = [
            one
            for one in loose
            if (one.held == "nobody" or (one.held == "model" and one.fresh)) and one.root not in replaced
        ]
        for root in dict.fromkeys(one.root for one in forgotten):
            if root not in told:
                told.add(root)
                yield _tell(main, update, [one for one in forgotten if one.root == root], sure=seen_twice)


def _tell(main: RankRun, update: Update, loose: list[Loose], *, sure: bool) -> Found:
    owner = _nearest(main, update, loose)
    optimizer = main.optimizer_name(owner)
    elements = sum(one.elements for one in loose)
    names = [one.name for one in loose]
    held = sum(_size(main, owner))
    return found(
        where_made(main, owner),
        update.index,
        f"{optimizer} was not given {listed(names)}, and nobody else holds them: the loss reaches these "
        f"{count(len(loose), 'parameter')} ({elements:,} numbers, {share(elements / (elements + held))} of what could "
        "learn here), but they keep their first values",
        facts={"optimizer": optimizer, "parameters": names, "numbers": elements},
        remedy=f"+ {optimizer}.add_param_group({{'params': ...}})  # or hand all parameters over here:\n  {{line}}",
        evidence="strong" if sure else "hint",
    )


def _size(main: RankRun, owner: str) -> Iterator[int]:
    held = held_by(main, owner)
    for info in main.optimizers[owner].parameters:
        if info.id in held:
            size = 1
            for side in info.shape:
                size *= side
            yield size


def _nearest(main: RankRun, update: Update, loose: list[Loose]) -> str:
    """The optimizer of this update that holds other parameters of the same model, or just the first one."""
    ids = {one.id for one in loose}
    for model in main.models.values():
        members = {info.id for info in model.parameters}
        if members & ids:
            for owner in update.owners:
                if members & held_by(main, owner):
                    return owner
    return update.owners[0]


def bad() -> None:
    import torch
    from torch import nn

    torch.manual_seed(0)
    encoder, decoder = nn.Linear(4, 3), nn.Linear(3, 4)
    optimizer = torch.optim.SGD(encoder.parameters(), lr=0.1)  # fires
    inputs = torch.randn(64, 4)
    for index in torch.randperm(64).split(16):
        loss = nn.functional.mse_loss(decoder(torch.tanh(encoder(inputs[index]))), inputs[index])
        encoder.zero_grad()
        decoder.zero_grad()
        loss.backward()
        optimizer.step()


def good() -> None:
    import torch
    from torch import nn

    torch.manual_seed(0)
    encoder, decoder = nn.Linear(4, 3), nn.Linear(3, 4)
    optimizer = torch.optim.SGD([*encoder.parameters(), *decoder.parameters()], lr=0.1)
    inputs = torch.randn(64, 4)
    for index in torch.randperm(64).split(16):
        loss = nn.functional.mse_loss(decoder(torch.tanh(encoder(inputs[index]))), inputs[index])
        encoder.zero_grad()
        decoder.zero_grad()
        loss.backward()
        optimizer.step()
