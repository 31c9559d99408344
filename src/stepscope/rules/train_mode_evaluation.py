"""The model is evaluated in training mode.

What it sees: forwards that no backward follows, of a model that is being trained, in training
mode, while its dropout drops or its batch norm normalises by the batch.

Why it hurts: the scores are those of a model that nobody will use. Dropout makes them noisy and
too low; batch norm lets the samples of an evaluation batch change one another's outputs, and adds
the evaluation data to its running statistics, so the data leaks into the model.

What to do: call ``eval()`` before the evaluation and ``train()`` after it. ``torch.no_grad()``
switches gradients off, not modes.

When to ignore it: where you sample with dropout on purpose, re-estimate batch norm, or let the
model act while it trains. A pass over the training data, and calls that come as often as the
updates without a loss, are only a hint.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepscope.checking.readings.modes import (
    active,
    differs_by_mode,
    evaluation_calls,
    fed_by,
    layers_on,
    sampled_repeatedly,
)
from stepscope.checking.rule import NothingToJudge, Rule, found
from stepscope.checking.words import count

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepscope.checking.rule import Found
    from stepscope.record.events import ModelCalled
    from stepscope.record.run import RankRun, Run
    from stepscope.record.updates import Evaluation

RULE = Rule(phase="mode", evidence="strong")


def check(run: Run) -> Iterator[Found]:
    main = run.main
    judged = [(evaluation, call) for evaluation, call in evaluation_calls(main) if differs_by_mode(call)]
    if not judged:
        raise NothingToJudge("no evaluation of a model with dropout or batch norm was seen")
    guilty: dict[tuple[str | None, int], list[tuple[Evaluation, ModelCalled]]] = {}
    for evaluation, call in judged:
        if call.training and call.modes is not None and active(call.modes):
            guilty.setdefault((call.file, call.line), []).append((evaluation, call))
    sources = fed_by(main)
    for calls in guilty.values():
        if not sampled_repeatedly([call for _, call in calls]):
            yield _tell(main, calls, sources.get(id(calls[0][1])))


def _tell(main: RankRun, guilty: list[tuple[Evaluation, ModelCalled]], loader: str | None) -> Found:
    evaluation, call = guilty[0]
    evaluations = list({id(e): e for e, _ in guilty}.values())
    name = main.models[call.model].name
    modes = call.modes
    assert modes is not None
    costs = []
    if modes.dropouts_on or modes.dropped:
        costs.append("dropout makes the scores noisy and too low")
    if modes.norms_on:
        costs.append("batch norm mixes the samples of a batch and takes them into its running statistics")
    return found(
        call,
        evaluation.after,
        f"{name} is evaluated in training mode, in {count(len(evaluations), 'evaluation')}, with "
        f"{layers_on(modes)} at work: {' and '.join(costs)}",
        facts={
            "model": name,
            "evaluations": len(evaluations),
            "dropouts": modes.dropouts_on,
            "norms": modes.norms_on,
            "loader": loader,
        },
        remedy=f"+ {name}.eval()\n  {{line}}\n+ {name}.train()  # after the evaluation",
        evidence="hint" if _may_be_meant(main, evaluations, loader) else None,
    )


def _may_be_meant(main: RankRun, evaluations: list[Evaluation], loader: str | None) -> bool:
    """Whether these calls may be something else than an evaluation."""
    if loader is not None:  # a pass over the training data: for its accuracy, or to re-estimate batch norm
        return any(loader in update.passes for update in main.updates)
    if any(evaluation.tallies for evaluation in evaluations):
        return False
    # Neither data nor a loss: a model that acts or labels for its own training, or a generator that shows its work.
    often = 2 * sum(evaluation.calls_total for evaluation in evaluations) >= len(main.updates)
    return often or len({owner for update in main.updates for owner in update.owners}) > 1


def bad() -> None:
    import torch
    from torch import nn

    torch.manual_seed(0)
    inputs = torch.randn(96, 8)
    targets = (inputs[:, 0] > 0).long()
    model = nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scores = []
    for _epoch in range(3):
        for batch in torch.randperm(64).split(16):
            loss = nn.functional.cross_entropy(model(inputs[batch]), targets[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            prediction = model(inputs[64:])  # fires
            scores.append(float((prediction.argmax(1) == targets[64:]).float().mean()))


def good() -> None:
    import torch
    from torch import nn

    torch.manual_seed(0)
    inputs = torch.randn(96, 8)
    targets = (inputs[:, 0] > 0).long()
    model = nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scores = []
    for _epoch in range(3):
        model.train()
        for batch in torch.randperm(64).split(16):
            loss = nn.functional.cross_entropy(model(inputs[batch]), targets[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            prediction = model(inputs[64:])
            scores.append(float((prediction.argmax(1) == targets[64:]).float().mean()))
