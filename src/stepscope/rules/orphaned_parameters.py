"""The optimizer holds parameters that its model has no longer; the new ones belong to nobody.

What it sees: after an optimizer was made, layers or parameters of its model were replaced (a new head, a
resized embedding, `load_state_dict(..., assign=True)`). The optimizer goes on with the old ones, while
the loss reaches the new ones, which no optimizer ever gets.

Why it hurts: the new layer keeps its first values, however long you train.

What to do: change the model first, then make the optimizer; or add the new parameters with `add_param_group`.

When to ignore it: never.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepscope.checking.readings.holding import ever_held, holdings, where_made
from stepscope.checking.rule import NothingToJudge, Rule, found
from stepscope.checking.words import count, listed
from stepscope.record.events import StateMoved

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepscope.checking.rule import Found, Place
    from stepscope.record.holding import Orphan
    from stepscope.record.run import RankRun, Run
    from stepscope.record.updates import Update

RULE = Rule(phase="trained", evidence="proof")


def check(run: Run) -> Iterator[Found]:
    main = run.main
    known = holdings(main)
    if not known:
        raise NothingToJudge("nobody asked who holds the parameters")
    held = ever_held(main)
    moved = {one.id for _, holding in known for one in holding.loose if one.moved}
    told: set[tuple[str, str]] = set()
    for update, holding in known:
        lost = [o for o in holding.orphans if o.unheld and o.successor not in held | moved]
        for key in dict.fromkeys((orphan.optimizer, orphan.root) for orphan in lost):
            if key not in told:
                told.add(key)
                yield _tell(main, update, [o for o in lost if (o.optimizer, o.root) == key])


def _tell(main: RankRun, update: Update, lost: list[Orphan]) -> Found:
    optimizer = main.optimizer_name(lost[0].optimizer)
    model = lost[0].root
    names = [orphan.path for orphan in lost]
    return found(
        _replaced_at(main, lost),
        update.index,
        f"{listed(names)} of {model} {'was' if len(names) == 1 else 'were'} replaced after {optimizer} was made: it "
        f"still holds the old {count(len(names), 'parameter')}, the loss reaches the new ones, and no optimizer "
        "moves those",
        facts={"optimizer": optimizer, "model": model, "parameters": names},
        remedy=f"  {{line}}\n+ {optimizer} = ...  # made only now, from the model as it is",
    )


def _replaced_at(main: RankRun, lost: list[Orphan]) -> Place:
    """Where the new layer was made; else where new parameters were loaded; else where the optimizer was made."""
    made = next((orphan for orphan in lost if orphan.line), None)
    if made is not None:
        return made
    loaded = [e for e in main.of(StateMoved) if e.action == "loaded" and e.cls == lost[0].root and e.line]
    return loaded[0] if loaded else where_made(main, lost[0].optimizer)


def bad() -> None:
    import torch
    from torch import nn

    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 5))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model[2] = nn.Linear(8, 2)  # fires
    inputs = torch.randn(64, 4)
    targets = (inputs[:, 0] > 0).long()
    for index in torch.randperm(64).split(16):
        model.zero_grad()
        nn.functional.cross_entropy(model(inputs[index]), targets[index]).backward()
        optimizer.step()


def good() -> None:
    import torch
    from torch import nn

    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 5))
    model[2] = nn.Linear(8, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    inputs = torch.randn(64, 4)
    targets = (inputs[:, 0] > 0).long()
    for index in torch.randperm(64).split(16):
        model.zero_grad()
        nn.functional.cross_entropy(model(inputs[index]), targets[index]).backward()
        optimizer.step()
