"""Evaluation inputs are on another scale than training inputs.

What it sees: the mean, or the spread, of what the model is given in evaluation lies far from what it is
given in training, and outside of all that training batches vary between them: raw values against
standardised ones, pixels divided by 255 against a mean and standard deviation.

Why it hurts: the model is judged on inputs it has never seen the like of; the metric is far below
what the model can do, or chance.

What to do: apply the same scaling, with the numbers of the training set, to both.

When to ignore it: where the two sets differ by nature (another sensor, another season).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepscope.checking.readings.batches import data_of, main_mark
from stepscope.checking.rule import NothingToJudge, Rule, found
from stepscope.checking.words import figure

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepscope.checking.readings.batches import Call, Data
    from stepscope.checking.rule import Found, Place
    from stepscope.record.run import Run
    from stepscope.record.samples import Mark

RULE = Rule(phase="data", evidence="hint", severity="warning")

#: So many training batches tell how much batches vary; fewer evaluated samples tell nothing.
BATCHES, SAMPLES = 4, 16
#: The spread may be so much wider, or narrower, and the mean lie off by so much of the spread.
RATIO, SHIFT = 1.6, 0.5
#: Without any loader data may drift for good reasons (games, generated samples): more is asked.
FAR_RATIO, FAR_SHIFT = 5.0, 3.0
_LIBRARY = ("TensorDataset", "Subset", "ConcatDataset")


def check(run: Run) -> Iterator[Found]:
    data = data_of(run.main)
    models = {call.event.model for call in data.calls if not call.training and _mark(call)}
    judged = False
    for model in sorted(models):
        trained = [call for call in data.calls if call.training and call.event.model == model and _mark(call)]
        evaluated = [call for call in data.calls if not call.training and call.event.model == model and _mark(call)]
        evaluated = [call for call in evaluated if not call.event.training or not call.event.grad]
        judged = judged or bool(trained and evaluated)
        if len(trained) >= BATCHES and evaluated:
            yield from _compare(data, trained, evaluated)
            if not judged:
                return
    if not judged:
        raise NothingToJudge("no model was both trained and evaluated on inputs that are measurements")


def _mark(call: Call) -> Mark | None:
    mark = main_mark(call.marks)
    usable = mark is not None and mark.floats and mark.low is not None and mark.shape[0] > 1
    return mark if usable else None


class _Scale:
    """Mean and spread of all inputs of several calls, and between which bounds batches lie."""

    def __init__(self, calls: list[Call]) -> None:
        marks = [mark for call in calls if (mark := _mark(call)) is not None]
        self.shape = marks[0].shape[1:]
        marks = [mark for mark in marks if mark.shape[1:] == self.shape]
        self.means = [float(mark.mean or 0) for mark in marks]
        self.stds = [float(mark.std or 0) for mark in marks]
        weights = [mark.shape[0] for mark in marks]
        self.samples = sum(weights)
        self.mean = sum(m * w for m, w in zip(self.means, weights, strict=True)) / self.samples
        square = sum((s * s + m * m) * w for m, s, w in zip(self.means, self.stds, weights, strict=True))
        self.std = max(square / self.samples - self.mean**2, 0.0) ** 0.5

    def unlike(self, other: _Scale, ratio: float, shift: float) -> bool:
        """Whether ``other`` lies beyond what these batches vary between them, and far enough."""
        if not self.std or not other.std:
            return False
        apart = max(self.std / other.std, other.std / self.std)
        wide = apart > ratio and not min(self.stds) <= other.std <= max(self.stds)
        room = max(self.means) - min(self.means)
        off = abs(other.mean - self.mean)
        return wide or (off > shift * self.std and off > 2 * room)


def _compare(data: Data, trained: list[Call], evaluated: list[Call]) -> Iterator[Found]:
    usual, judged = _Scale(trained), _Scale(evaluated)
    fed = any(call.fed for call in [*trained, *evaluated])
    ratio, shift = (RATIO, SHIFT) if fed else (FAR_RATIO, FAR_SHIFT)
    if usual.shape != judged.shape or judged.samples < SAMPLES or not usual.unlike(judged, ratio, shift):
        return
    single = [
        _Scale([call]) for call in evaluated if (mark := _mark(call)) is not None and mark.shape[0] >= SAMPLES / 2
    ]
    if sum(not usual.unlike(one, ratio, shift) for one in single) > len(single) / 5:
        return  # some evaluations are given what training is given: the others are odd on purpose
    yield found(
        _place(data, evaluated[0]),
        max(evaluated[0].update, 1),
        f"in evaluation the model is given inputs with mean {figure(judged.mean)} and standard deviation "
        f"{figure(judged.std)}; it was trained on inputs with mean {figure(usual.mean)} and {figure(usual.std)}",
        facts={"mean": judged.mean, "std": judged.std, "trained_mean": usual.mean, "trained_std": usual.std},
    )


def _place(data: Data, call: Call) -> Place:
    """Where a dataset of the script's own prepares samples, the loop over it; else the call that is given them."""
    batch = call.fed[0] if call.fed else None
    made = data.loaders.get(batch.event.loader) if batch is not None else None
    return batch.event if batch is not None and made is not None and made.cls not in _LIBRARY else call.event


def bad() -> None:
    import torch
    from torch import nn
    from torch.utils.data import DataLoader, TensorDataset

    torch.manual_seed(0)
    inputs = 20 + 5 * torch.randn(64, 4)
    targets = inputs.mean(1, keepdim=True) / 5 - 4
    scaled = (inputs[:48] - inputs[:48].mean(0)) / inputs[:48].std(0)
    train_loader = DataLoader(TensorDataset(scaled, targets[:48]), batch_size=8, shuffle=True)
    held_out_loader = DataLoader(TensorDataset(inputs[48:], targets[48:]), batch_size=16)
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for batch, target in train_loader:
        optimizer.zero_grad()
        nn.functional.mse_loss(model(batch), target).backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        for batch, target in held_out_loader:
            nn.functional.mse_loss(model(batch), target).item()  # fires


def good() -> None:
    import torch
    from torch import nn
    from torch.utils.data import DataLoader, TensorDataset

    torch.manual_seed(0)
    inputs = 20 + 5 * torch.randn(64, 4)
    targets = inputs.mean(1, keepdim=True) / 5 - 4
    scaled = (inputs - inputs[:48].mean(0)) / inputs[:48].std(0)
    train_loader = DataLoader(TensorDataset(scaled[:48], targets[:48]), batch_size=8, shuffle=True)
    held_out_loader = DataLoader(TensorDataset(scaled[48:], targets[48:]), batch_size=16)
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for batch, target in train_loader:
        optimizer.zero_grad()
        nn.functional.mse_loss(model(batch), target).backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        for batch, target in held_out_loader:
            nn.functional.mse_loss(model(batch), target).item()
