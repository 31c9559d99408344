"""The samples of a batch influence one another inside the model.

What it sees: the model was run again on copies with one sample of the batch replaced by another
one, and the outputs of other samples changed. Batch norm is set aside for that, and losses over
pairs of samples lie outside the model.

Why it hurts: a prediction depends on what else happens to be in the batch. It is another one for
batches of another size or order, and what the model learns about one sample is noise from others.

What to do: look at the first operation that mixes. Mostly it is a ``view`` or ``reshape`` where
``transpose`` or ``permute`` was meant, or a recurrent or transformer layer without
``batch_first=True`` that takes the batch for time.

When to ignore it: where samples are to see each other, as in attention across a batch. Statistics
over the batch, and sorting or picking across it, are only a hint.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from stepscope.checking.rule import NothingToJudge, Rule, found
from stepscope.checking.words import count, figure
from stepscope.record.events import Probed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepscope.checking.finding import Evidence
    from stepscope.checking.rule import Found
    from stepscope.record.run import RankRun, Run

RULE = Rule(phase="loss", evidence="strong")

_LAYOUTS = {"view", "reshape", "transpose", "permute", "flatten", "unflatten", "movedim", "swapaxes", "unfold", "t"}
_RECURRENT = {"lstm", "gru", "rnn_tanh", "rnn_relu"}
_ATTENTION = {"multi_head_attention_forward", "scaled_dot_product_attention", "softmax"}
_PRODUCTS = {"matmul", "rmatmul", "bmm", "mm", "einsum", "baddbmm", "linear", "tensordot", "mul", "add"}
_CONVOLUTIONS = {"conv1d", "conv2d", "conv3d"}


def check(run: Run) -> Iterator[Found]:
    main = run.main
    probed = [event for event in main.of(Probed) if event.along == "samples"]
    if not probed:
        raise NothingToJudge("no model could be run again with one sample replaced")
    for model in dict.fromkeys(event.model for event in probed):
        by_dim = {event.dim: event for event in probed if event.model == model}
        guilty, evidence = _verdict(main, by_dim)
        if guilty is not None:
            yield _tell(main, guilty, evidence)


def _verdict(main: RankRun, by_dim: dict[int, Probed]) -> tuple[Probed | None, Evidence]:
    """Which replaced sample was noticed, and how sure it is that it was a sample."""
    certain = next((event for event in by_dim.values() if event.certain), None)
    if certain is not None:
        return (certain if certain.changed else None), _by_operation(certain)
    first = by_dim.get(0)
    if first is None or not first.changed:
        return None, "strong"
    size = first.shape[1] if len(first.shape) > 1 else 0
    sizes = _batch_sizes(main, first)
    known = first.shape[0] in sizes and size not in sizes
    second = by_dim.get(1)
    if not known and second is not None and (size in sizes or not second.changed):
        # Time comes first: only the second dimension counts samples.
        return (second if second.changed and size in sizes else None), _by_operation(second)
    if first.repeated and first.operation not in _RECURRENT | _LAYOUTS:
        return None, "hint"  # all there is, again and again: the nodes of a graph, or a set
    if known:
        return first, _by_operation(first)
    judged = _by_targets(first)
    return (None, "hint") if judged is None else (first, judged)


def _by_targets(event: Probed) -> Evidence | None:
    """No loader tells the batch size: whether the targets tell that the first dimension counts samples.

    Without a batch, that dimension is time, or channels, or a single sample's features.
    """
    shape = event.shape
    if len(shape) == 1 or (shape[1] == 1 and len(shape) < 4):
        return None  # one sequence at a time
    if not event.targets:
        return "hint"
    each = [target for target in event.targets if target[:1] == shape[:1]]
    if not each:
        return "hint" if any(prod(target) == shape[0] * shape[1] for target in event.targets) else None
    if not event.integers and (len(shape) < 3 or min(map(len, each)) >= len(shape)):
        return "hint"  # perhaps one sequence, or one picture, that is told about point by point
    return _by_operation(event)


def _by_operation(event: Probed) -> Evidence:
    mixing = _LAYOUTS | _RECURRENT | _ATTENTION | _PRODUCTS | _CONVOLUTIONS
    return "strong" if event.operation in mixing else "hint"


def _batch_sizes(main: RankRun, event: Probed) -> set[int]:
    """The batch sizes of the loaders that fed this update."""
    update = next((u for u in main.updates if u.index == event.update), None)
    loaders = [main.loaders.get(loader) for loader in update.passes] if update else []
    return {seen.batch_size for seen in loaders if seen is not None and seen.batch_size is not None}


def _tell(main: RankRun, event: Probed, evidence: Evidence) -> Found:
    name = main.models[event.model].name
    where = f", and first in {event.operation} on this line" if event.operation else ""
    cure = "- {line}\n+ # keep the samples apart: permute instead of view, or"
    return found(
        event,
        event.update,
        f"the samples of a batch mix inside {name}: with one of {event.compared + 1} replaced by another, the output "
        f"of {count(event.changed, 'other sample')} changed, by up to {figure(event.largest)} times the outputs' "
        f"spread{where}",
        facts={
            "model": name,
            "operation": event.operation,
            "changed": event.changed,
            "compared": event.compared,
            "largest": event.largest if isinstance(event.largest, float) else str(event.largest),
        },
        remedy=f"{cure} batch_first=True",
        evidence=evidence,
    )


def bad() -> None:
    import torch
    from torch import nn

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn, self.out = nn.GRU(3, 16), nn.Linear(16, 2)

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            hidden, _ = self.rnn(inputs)  # fires
            scores: torch.Tensor = self.out(hidden[:, -1])
            return scores

    torch.manual_seed(0)
    inputs = torch.randn(64, 5, 3)
    targets = (inputs[:, :, 0].sum(1) > 0).long()
    model = Net()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for batch in torch.randperm(64).split(16):
        loss = nn.functional.cross_entropy(model(inputs[batch]), targets[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def good() -> None:
    import torch
    from torch import nn

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn, self.out = nn.GRU(3, 16, batch_first=True), nn.Linear(16, 2)

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            hidden, _ = self.rnn(inputs)
            scores: torch.Tensor = self.out(hidden[:, -1])
            return scores

    torch.manual_seed(0)
    inputs = torch.randn(64, 5, 3)
    targets = (inputs[:, :, 0].sum(1) > 0).long()
    model = Net()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for batch in torch.randperm(64).split(16):
        loss = nn.functional.cross_entropy(model(inputs[batch]), targets[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
