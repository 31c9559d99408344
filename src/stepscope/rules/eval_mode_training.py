"""The model trains in evaluation mode.

What it sees: an update whose forward ran the model in evaluation mode, with dropout that lets
everything pass or batch norm that uses its running statistics. Mostly an evaluation called
``eval()`` and nobody called ``train()`` after it.

Why it hurts: there is no error. Dropout no longer regularises; batch norm no longer follows the
weights, and its running statistics grow stale, so training may slow down, overfit or diverge.

What to do: call ``train()`` before the updates that follow an evaluation, best at the start of the
training function.

When to ignore it: where you fine-tune with the whole model in evaluation mode on purpose. Where
``eval()`` is called right before training and no evaluation lies between, this is only a hint.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepscope.checking.readings.modes import active, differs_by_mode, idle, layers_off, training_calls
from stepscope.checking.rule import NothingToJudge, Rule, found
from stepscope.checking.words import count
from stepscope.record.events import ModeChanged, ModelCalled

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from stepscope.checking.rule import Found
    from stepscope.record.events import AnyEvent
    from stepscope.record.run import RankRun, Run
    from stepscope.record.updates import Update

RULE = Rule(phase="mode", evidence="strong")


def check(run: Run) -> Iterator[Found]:
    main = run.main
    judged = [(update, call) for update, call in training_calls(main) if differs_by_mode(call)]
    if not judged:
        raise NothingToJudge("nothing that was trained has dropout or batch norm")
    # A model that is called in both modes for one update (an attack made in evaluation mode) does train.
    trains = {(update.index, call.model) for update, call in judged if call.training or _partly(call)}
    guilty: dict[str, list[tuple[Update, ModelCalled]]] = {}
    for update, call in judged:
        if (update.index, call.model) not in trains and not _stands_still(update, main, call):
            guilty.setdefault(call.model, []).append((update, call))
    for model, calls in guilty.items():
        yield _tell(main, model, calls, {id(call) for _, call in judged})


def _partly(call: ModelCalled) -> bool:
    """Whether some layers do work as in training: then somebody chose which."""
    return call.modes is None or active(call.modes) or not idle(call.modes)


def _stands_still(update: Update, main: RankRun, call: ModelCalled) -> bool:
    """Whether a close look shows that the loss reaches nothing of this model: it is frozen."""
    if update.look is None or not update.look.graphs or not all(graph.complete for graph in update.look.graphs):
        return False
    reached = {p for graph in update.look.graphs for p in graph.reached}
    return not any(info.name in reached for info in main.models[call.model].parameters)


def _tell(main: RankRun, model: str, guilty: list[tuple[Update, ModelCalled]], trained: set[int]) -> Found:
    update, call = guilty[0]
    updates = len({u.index for u, _ in guilty})
    before = main.events[: next(n for n, event in enumerate(main.events) if event is call)]
    switch, evaluated = _how_it_came(main, before, model, trained)
    seen = main.models[model]
    modes = call.modes
    assert modes is not None
    trained_before = any(
        isinstance(e, ModelCalled) and e.model == model and e.training and id(e) in trained for e in before
    )
    how = "eval() was called here, for an evaluation, and train() was not called after it" if evaluated else ""
    if not evaluated:
        how = "eval() was called here" if switch else "it never was in training mode"
    since = "" if not trained_before else " (earlier updates ran in training mode)"
    return found(
        switch or call,
        update.index,
        f"{seen.name} trains in evaluation mode for {count(updates, 'update')}{since}: {layers_off(modes)} "
        f"at work as in evaluation while gradients are computed; {how}",
        facts={"model": seen.name, "updates": updates, "dropouts": modes.dropouts_off, "norms": modes.norms_off},
        remedy=f"+ {seen.name}.train()  # before the next update" if switch else f"+ {seen.name}.train()\n  {{line}}",
        evidence=None if evaluated else "hint",
    )


def _how_it_came(
    main: RankRun, before: Sequence[AnyEvent], model: str, trained: set[int]
) -> tuple[ModeChanged | None, bool]:
    """The ``eval()`` that put the model into this mode, and whether an evaluation came after it."""
    own = {info.id for info in main.models[model].parameters}
    alike = {id_ for id_, seen in main.models.items() if own & {info.id for info in seen.parameters}}
    evaluated = False
    fallback: ModeChanged | None = None
    for event in reversed(before):
        if isinstance(event, ModelCalled) and event.model in alike:
            if event.training or id(event) in trained:
                break
            evaluated = True
        elif isinstance(event, ModeChanged) and not event.training:
            if event.model in alike or (event.model is None and event.cls == main.models[model].cls):
                return event, evaluated
            fallback = fallback or event
    return fallback, evaluated


def bad() -> None:
    import torch
    from torch import nn

    torch.manual_seed(0)
    inputs = torch.randn(96, 8)
    targets = (inputs[:, 0] > 0).long()
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def evaluate() -> float:
        model.eval()  # fires
        with torch.no_grad():
            return float((model(inputs[64:]).argmax(1) == targets[64:]).float().mean())

    model.train()
    for _epoch in range(3):
        for batch in torch.randperm(64).split(16):
            loss = nn.functional.cross_entropy(model(inputs[batch]), targets[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        evaluate()


def good() -> None:
    import torch
    from torch import nn

    torch.manual_seed(0)
    inputs = torch.randn(96, 8)
    targets = (inputs[:, 0] > 0).long()
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def evaluate() -> float:
        model.eval()
        with torch.no_grad():
            return float((model(inputs[64:]).argmax(1) == targets[64:]).float().mean())

    for _epoch in range(3):
        model.train()
        for batch in torch.randperm(64).split(16):
            loss = nn.functional.cross_entropy(model(inputs[batch]), targets[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        evaluate()
