"""Weight decay was to spare norm layers, and does not: the filter by name misses them.

What it sees: an optimizer with one group without decay (biases, mostly), and the scales of norm layers in a
group with decay. Filters look for "LayerNorm" or "bn" in names; the layers are called `ln_1`, or `1`.

Why it hurts: decay pulls the scales of norm layers towards zero; that is no regularisation of what the network
computes, it only fights the gradient.

What to do: go by the parameter's shape (`param.ndim < 2`) or the layer's class, not by its name.

When to ignore it: where norm layers are to be decayed on purpose.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepscope.checking.readings.holding import where_made
from stepscope.checking.readings.loop import parameter_names
from stepscope.checking.rule import NothingToJudge, Rule, found
from stepscope.checking.words import count, figure, listed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepscope.checking.rule import Found
    from stepscope.record.events import Group, OptimizerSeen
    from stepscope.record.run import RankRun, Run

RULE = Rule(phase="trained", evidence="hint", severity="note")


def check(run: Run) -> Iterator[Found]:
    main = run.main
    norms = _parameters_of(main, "norm")
    split = [seen for seen in main.optimizers.values() if _spared(seen) and _decayed(seen)]
    if not split or not norms:
        raise NothingToJudge("no optimizer with and without weight decay, or no norm layers")
    names = parameter_names(main)
    for seen in split:
        shapes = {info.id: info.shape for info in seen.parameters}
        spared = [p for group in _spared(seen) for p in group.parameters]
        flat = [p for p in spared if len(shapes.get(p, [0, 0])) < 2]
        caught = [(p, g) for g in _decayed(seen) for p in g.parameters if names.get(p) in norms and len(shapes[p]) < 2]
        embedded = _parameters_of(main, "embedding")
        others = any(names.get(p) not in norms and len(shapes[p]) < 2 for g in _decayed(seen) for p in g.parameters)
        # A model may have no biases to spare: then the embeddings that are spared tell of the same list.
        listed_by_kind = (
            len(flat) >= 0.8 * len(spared) if flat else not others and all(names.get(p) in embedded for p in spared)
        )
        if listed_by_kind and caught:
            yield _tell(main, seen, [names[p] for p, _ in caught], caught[0][1])


def _parameters_of(main: RankRun, kind: str) -> set[str]:
    """The names of the parameters of the layers whose class has ``kind`` in its name."""
    looks = [update.look for update in main.looks if update.look is not None]
    layers = [layer for look in looks for layer in look.layers if kind in layer.cls.lower()]
    return {name for layer in layers for name in layer.parameters}


def _spared(seen: OptimizerSeen) -> list[Group]:
    return [group for group in seen.groups if group.parameters and group.options.get("weight_decay") == 0]


def _decayed(seen: OptimizerSeen) -> list[Group]:
    return [group for group in seen.groups if group.parameters and group.options.get("weight_decay")]


def _tell(main: RankRun, seen: OptimizerSeen, names: list[str], group: Group) -> Found:
    decay = group.options["weight_decay"]
    rate = figure(decay) if isinstance(decay, (int, float)) else str(decay)
    return found(
        where_made(main, seen.id),
        1,
        f"{main.optimizer_name(seen.id)} has a group without weight decay, but {listed(names)}, the scales of norm "
        f"layers ({count(len(names), 'parameter')}), are in one with a decay of {rate}",
        facts={"parameters": names, "weight_decay": rate},
        remedy=(
            "+ decayed = [p for p in model.parameters() if p.ndim >= 2]\n"
            "+ spared = [p for p in model.parameters() if p.ndim < 2]"
        ),
    )


def bad() -> None:
    import torch
    from torch import nn

    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.LayerNorm(8), nn.Tanh(), nn.Linear(8, 2))
    named = list(model.named_parameters())
    groups = [
        {"params": [p for n, p in named if "norm" not in n and "bias" not in n], "weight_decay": 0.1},
        {"params": [p for n, p in named if "norm" in n or "bias" in n], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=0.01)  # fires
    inputs = torch.randn(64, 4)
    targets = (inputs[:, 0] > 0).long()
    for index in torch.randperm(64).split(16):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(inputs[index]), targets[index]).backward()
        optimizer.step()


def good() -> None:
    import torch
    from torch import nn

    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.LayerNorm(8), nn.Tanh(), nn.Linear(8, 2))
    groups = [
        {"params": [p for p in model.parameters() if p.ndim >= 2], "weight_decay": 0.1},
        {"params": [p for p in model.parameters() if p.ndim < 2], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=0.01)
    inputs = torch.randn(64, 4)
    targets = (inputs[:, 0] > 0).long()
    for index in torch.randperm(64).split(16):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(inputs[index]), targets[index]).backward()
        optimizer.step()
