"""The evaluation reads the training data.

What it sees: a loader that feeds only the evaluation hands out the very samples that the model is
trained on (the same indices of the same dataset, or the same values), and no other data is
evaluated or waits in another loader. A pass over the training set for its accuracy, beside a
held-out set, is something else. Without a loader nothing is said: there is no telling a report on
the training set from an evaluation.

Why it hurts: the metric measures memory. Early stopping, schedules and the choice of a model follow
a number that gets better by overfitting.

What to do: build the evaluation loader on the held-out data.

When to ignore it: where the training accuracy is all you want to know.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepscope.checking.readings.batches import data_of
from stepscope.checking.readings.overlap import overlaps
from stepscope.checking.rule import NothingToJudge, Rule, found
from stepscope.checking.words import share

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepscope.checking.readings.batches import Data
    from stepscope.checking.readings.overlap import Overlap
    from stepscope.checking.rule import Found
    from stepscope.record.run import Run

RULE = Rule(phase="data", evidence="proof")

#: Of the evaluated samples, so many must be training samples.
MOST = 0.9
#: Where more of the training samples equal one another, samples are equal by chance.
FEW = 0.05


def check(run: Run) -> Iterator[Found]:
    data = data_of(run.main)
    seen = [one for one in overlaps(data) if one.loader is not None and (one.sure or one.repeats < FEW)]
    if not seen:
        raise NothingToJudge("no evaluation was fed by a loader of samples that can be told apart")
    if any(one.share < MOST and not one.training_set for one in overlaps(data)):
        return  # something else is evaluated, too
    trained = {one.loader for one in data.passes if one.training}
    apart = [one for one in seen if one.loader not in trained]
    if apart and not _another_waits(data):
        yield _tell(data, apart[0])
    elif not apart and _another_waits(data) and len({one.after for one in seen}) > 1:
        yield _tell(data, seen[0])


def _another_waits(data: Data) -> bool:
    """Whether a loader over other samples was made that nothing was read from."""
    read = {made.part for made in data.loaders.values()}
    return any(made.part not in read for made in data.made)


def _tell(data: Data, one: Overlap) -> Found:
    assert one.loader is not None
    made = data.loaders.get(one.loader)
    trained = any(step.training for step in data.passes if step.loader == one.loader)
    if trained:
        what = "the loader that feeds training also feeds every evaluation, while another loader is never read"
    else:
        what = "this loader feeds the evaluation with training data"
    place = (made.made_file, made.made_line) if made is not None and made.made_line and not trained else one.at
    return found(
        place,
        max(one.after, 1),
        f"{what}: {share(one.share)} of its samples ({one.same:,} of {one.of:,}) were trained on before "
        f"{'(equal indices of one dataset)' if one.by_index else '(equal values)'}, and nothing else is evaluated",
        facts={"same": one.same, "compared": one.of, "by_index": one.by_index},
        evidence="strong" if trained or not one.sure else None,
    )


def bad() -> None:
    import torch
    from torch import nn
    from torch.utils.data import DataLoader, TensorDataset

    torch.manual_seed(0)
    inputs = torch.randn(48, 4)
    targets = inputs.sum(1, keepdim=True)
    train_set = TensorDataset(inputs[:32], targets[:32])
    train_loader = DataLoader(train_set, batch_size=8, shuffle=True)
    held_out_loader = DataLoader(train_set, batch_size=16)  # fires
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for _epoch in range(2):
        for batch, target in train_loader:
            optimizer.zero_grad()
            nn.functional.mse_loss(model(batch), target).backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            sum(nn.functional.mse_loss(model(batch), target).item() for batch, target in held_out_loader)
        model.train()


def good() -> None:
    import torch
    from torch import nn
    from torch.utils.data import DataLoader, TensorDataset

    torch.manual_seed(0)
    inputs = torch.randn(48, 4)
    targets = inputs.sum(1, keepdim=True)
    train_loader = DataLoader(TensorDataset(inputs[:32], targets[:32]), batch_size=8, shuffle=True)
    held_out_loader = DataLoader(TensorDataset(inputs[32:], targets[32:]), batch_size=16)
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for _epoch in range(2):
        for batch, target in train_loader:
            optimizer.zero_grad()
            nn.functional.mse_loss(model(batch), target).backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            sum(nn.functional.mse_loss(model(batch), target).item() for batch, target in held_out_loader)
        model.train()
