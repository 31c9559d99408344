"""Layers compute something for the loss, but no gradient comes back to them: the graph is cut.

What it sees: parameters that an optimizer steps never get a gradient, although their layers run; and
the operation at which the graph behind them ends (``detach``, ``data``, ``item``, a way through
NumPy, ``sample`` in place of ``rsample``), whose result goes on towards the loss.

Why it hurts: these layers stay as they were initialised, and the rest of the network learns to live
with their random features. The loss still goes down, only not as far.

What to do: let the gradient through where the graph ends: drop ``detach``, compute with torch
instead of NumPy, use ``rsample``. If the layers are meant to stay as they are, say so: set
``requires_grad_(False)`` and keep them out of the optimizer.

When to ignore it: where the stop of the gradient is wanted and the optimizer holds these parameters
only because it holds all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepscope.checking.readings.loop import held_by, parameter_names
from stepscope.checking.rule import NothingToJudge, Rule, found
from stepscope.checking.words import count, listed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepscope.checking.rule import Found
    from stepscope.record.look import Cut, LayerLook
    from stepscope.record.run import RankRun, Run

RULE = Rule(phase="gradients", evidence="strong")

#: An optimizer is judged after so many steps: what joins the loss later has its chance.
_STEPS = 5


def check(run: Run) -> Iterator[Found]:
    main = run.main
    looks = [u.look for u in main.looks if u.look is not None and u.look.graphs]
    if not looks:
        raise NothingToJudge("no update with a backward was looked at closely")
    if not all(graph.complete for look in looks for graph in look.graphs):
        raise NothingToJudge("the graph cannot be seen as a whole")
    reached = {name for look in looks for graph in look.graphs for name in graph.reached}
    cuts = [cut for look in looks for cut in look.cuts]
    layers = [layer for look in looks for layer in look.layers]
    for optimizer in main.optimizers:
        unreached = _without_gradient(main, optimizer, reached)
        if unreached:
            yield from _explain(main, optimizer, unreached, cuts, layers)


def _without_gradient(main: RankRun, optimizer: str, reached: set[str]) -> dict[str, int]:
    """The parameters of an optimizer, by name with their size, that no backward ever reached."""
    steps = [(step, u) for u in main.updates for step in u.steps if step.optimizer == optimizer]
    got = max((step.with_gradient for step, _ in steps), default=0)
    if len(steps) < _STEPS or not got:
        return {}  # an optimizer that never gets any gradient is another rule's business
    seen = main.optimizers[optimizer]
    held = held_by(main, optimizer)
    known = parameter_names(main)
    infos = {known.get(info.id, info.name): info for info in seen.parameters if info.id in held}
    names = {name: _size(info.shape) for name, info in infos.items() if info.requires_grad and name not in reached}
    # Outside of close looks only counts are known: if ever more got a gradient, it is not clear which did not.
    return names if len(names) <= steps[0][0].parameters - got else {}


def _size(shape: list[int]) -> int:
    size = 1
    for length in shape:
        size *= length
    return size


def _explain(
    main: RankRun, optimizer: str, unreached: dict[str, int], cuts: list[Cut], layers: list[LayerLook]
) -> Iterator[Found]:
    """One finding for each cut that explains some; a weaker one for layers whose result is not used at all."""
    left = dict(unreached)
    for cut in sorted(cuts, key=lambda cut: (cut.quiet, not cut.fed, not cut.left)):
        names = [name for name in cut.parameters if name in left]
        if not names or not (cut.fed or cut.left):
            continue
        yield _tell(main, optimizer, cut, names, sum(left.pop(name) for name in names))
    unused = [layer for layer in layers if any(name in left for name in layer.parameters)]
    if unused:
        names = sorted({name for layer in unused for name in layer.parameters if name in left})
        weights = sum(left[name] for name in names)
        layers_named = listed(list(dict.fromkeys(layer.path or layer.cls for layer in unused)))
        yield found(
            unused[0],
            1,
            f"the loss does not depend on the output of {layers_named}: "
            f"{count(weights, 'weight')} of theirs never got a gradient",
            facts={"parameters": names[:50], "weights": weights},
            evidence="hint",
        )


def _tell(main: RankRun, optimizer: str, cut: Cut, names: list[str], numbers: int) -> Found:
    known = main.optimizers[optimizer].parameters
    whole = sum(_size(info.shape) for info in known) or 1
    quiet = " no gradients are recorded" if cut.quiet and cut.operation != "normal" else f" {cut.operation}() ends it"
    goes_on = "its result goes on to the loss as a constant" if cut.fed else "its result leaves torch as plain numbers"
    return found(
        cut,
        1,
        f"the graph is cut here:{quiet}, and {goes_on}; so {count(len(names), 'parameter')} of "
        f"{main.optimizer_name(optimizer)} ({listed(names)}) never got a gradient and stay as they were initialised: "
        f"{numbers:,} of its {whole:,} weights",
        facts={"operation": cut.operation, "parameters": names[:50], "weights": numbers, "of": whole},
        remedy=_remedy(cut),
        evidence="strong" if not cut.quiet or cut.operation in _SAMPLES else "hint",
    )


#: What torch's distributions draw with, without gradients, where ``sample`` is called.
_SAMPLES = frozenset({"normal", "expand", "rand", "poisson", "_standard_gamma", "multinomial", "bernoulli"})


def _remedy(cut: Cut) -> str:
    if cut.operation in _SAMPLES and cut.quiet:
        return "- {line}\n+ the same with .rsample() in place of .sample()"
    if cut.operation in {"detach", "data"}:
        return f"- {{line}}\n+ the same without .{cut.operation}"
    return "- {line}\n+ the same in operations of torch that have a gradient"


def bad() -> None:
    import torch
    from torch import nn

    torch.manual_seed(0)
    encoder, head = nn.Linear(8, 6), nn.Linear(6, 3)
    optimizer = torch.optim.SGD([*encoder.parameters(), *head.parameters()], lr=0.1)
    inputs, targets = torch.randn(160, 8), torch.randint(3, (160,))
    for start in range(0, 160, 16):
        features = torch.tanh(encoder(inputs[start : start + 16])).detach()  # fires
        loss = nn.functional.cross_entropy(head(features), targets[start : start + 16])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def good() -> None:
    import torch
    from torch import nn

    torch.manual_seed(0)
    encoder, head = nn.Linear(8, 6), nn.Linear(6, 3)
    optimizer = torch.optim.SGD([*encoder.parameters(), *head.parameters()], lr=0.1)
    inputs, targets = torch.randn(160, 8), torch.randint(3, (160,))
    for start in range(0, 160, 16):
        features = torch.tanh(encoder(inputs[start : start + 16]))
        loss = nn.functional.cross_entropy(head(features), targets[start : start + 16])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
