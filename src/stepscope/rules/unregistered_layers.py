"""Layers that sit in a plain list or dict do not belong to the model, and no optimizer trains them.

What it sees: the loss reaches parameters of layers that the model keeps in a plain Python container
(or calls without having them at all), so that `model.parameters()` does not list them; no
optimizer holds them and their values never change.

Why it hurts: these layers stay as random as they began. They are not saved with the model, not
moved to the GPU and not switched to evaluation mode either.

What to do: keep layers in `nn.ModuleList` or `nn.ModuleDict`, single parameters in `nn.ParameterList`.

When to ignore it: where layers with random weights are meant to stay as they are; freeze them then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepscope.checking.readings.holding import holdings, never_trained, where_made
from stepscope.checking.rule import NothingToJudge, Rule, found
from stepscope.checking.words import count

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepscope.checking.rule import Found
    from stepscope.record.holding import Loose
    from stepscope.record.run import RankRun, Run
    from stepscope.record.updates import Update

RULE = Rule(phase="trained", evidence="proof")


def check(run: Run) -> Iterator[Found]:
    main = run.main
    if not holdings(main):
        raise NothingToJudge("nobody asked who holds the parameters")
    told: set[tuple[str, str]] = set()
    for update, loose, seen_twice in never_trained(main):
        unseen = [one for one in loose if one.held in {"container", "called"} and (one.fresh or not one.layer)]
        for key in dict.fromkeys((one.root, one.attribute) for one in unseen):
            if key not in told:
                told.add(key)
                yield _tell(main, update, [one for one in unseen if (one.root, one.attribute) == key], sure=seen_twice)


def _tell(main: RankRun, update: Update, loose: list[Loose], *, sure: bool) -> Found:
    first = next((one for one in loose if one.line), loose[0])
    elements = sum(one.elements for one in loose)
    if first.held == "container":
        where = f"self.{first.attribute} of {first.root} is a plain Python container: torch does not see what is in it"
    else:
        where = f"{first.root} calls a {first.layer} that is not registered in it"
    name = "ParameterList" if not first.layer else "ModuleList"
    return found(
        first if first.line else where_made(main, update.owners[0]),
        update.index,
        f"{where}. The loss reaches {count(len(loose), 'parameter')} there ({elements:,} numbers), but no optimizer "
        "holds them: they keep their first, random values",
        facts={"model": first.root, "attribute": first.attribute, "parameters": len(loose), "numbers": elements},
        remedy=f"- {{line}}\n+ nn.{name}(...)  # or nn.{name.replace('List', 'Dict')}",
        evidence="proof" if sure and first.held == "container" else "strong",
    )


def bad() -> None:
    import torch
    from torch import nn

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.hidden = [nn.Linear(4, 4) for _ in range(2)]  # fires
            self.head = nn.Linear(4, 2)

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            for layer in self.hidden:
                inputs = torch.tanh(layer(inputs))
            return self.head(inputs)  # type: ignore[no-any-return]

    torch.manual_seed(0)
    model = Net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    inputs = torch.randn(64, 4)
    targets = (inputs[:, 0] > 0).long()
    for index in torch.randperm(64).split(16):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(inputs[index]), targets[index]).backward()
        optimizer.step()


def good() -> None:
    import torch
    from torch import nn

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.hidden = nn.ModuleList(nn.Linear(4, 4) for _ in range(2))
            self.head = nn.Linear(4, 2)

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            for layer in self.hidden:
                inputs = torch.tanh(layer(inputs))
            return self.head(inputs)  # type: ignore[no-any-return]

    torch.manual_seed(0)
    model = Net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    inputs = torch.randn(64, 4)
    targets = (inputs[:, 0] > 0).long()
    for index in torch.randperm(64).split(16):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(inputs[index]), targets[index]).backward()
        optimizer.step()
