"""Some evaluation samples are training samples, too.

What it sees: a part of the evaluated samples had been trained on before: the same indices of the same
dataset, or the same values, where these are too rich to be equal by chance. An evaluation that
holds the whole training set besides (embeddings of everything, a gallery) is passed over, as is one
that reads the training set itself, and data of which many samples are equal anyway.

Why it hurts: the metric is too good, by just the share that the model could learn by heart, and
nobody sees it until the model meets new data.

What to do: split first, then oversample, augment, cut into windows; draw one permutation and cut
it in two; remove duplicates before splitting.

When to ignore it: where the common samples are known and few.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepscope.checking.readings.batches import data_of
from stepscope.checking.readings.overlap import overlaps
from stepscope.checking.rule import NothingToJudge, Rule, found
from stepscope.checking.words import share

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepscope.checking.readings.overlap import Overlap
    from stepscope.checking.rule import Found
    from stepscope.record.run import Run

RULE = Rule(phase="data", evidence="proof")

#: At least so many samples, and such a share, of the evaluation; with more it is the training set.
FEWEST, LEAST, MOST = 3, 0.01, 0.9
#: An evaluation that holds so much of the training set holds all data, on purpose.
WHOLE = 0.75


def check(run: Run) -> Iterator[Found]:
    seen = [one for one in overlaps(data_of(run.main)) if not one.training_set]
    if not seen:
        raise NothingToJudge("no evaluation could be compared with training data")
    told = set()
    for one in sorted(seen, key=lambda one: -one.share):
        key = (one.at.file, one.at.line)
        if _counts(one) and key not in told:
            told.add(key)
            yield _tell(min((other for other in seen if _counts(other) and _key(other) == key), key=_after), one)


def _key(one: Overlap) -> tuple[str | None, int]:
    return one.at.file, one.at.line


def _after(one: Overlap) -> int:
    return one.after


def _counts(one: Overlap) -> bool:
    if one.same < FEWEST or not LEAST <= one.share < MOST:
        return False
    if one.loader is None and one.covers > WHOLE:
        return False
    return one.sure or one.share > 0.05 + 5 * one.repeats


def _tell(first: Overlap, worst: Overlap) -> Found:
    how = "equal indices of one dataset" if worst.by_index else "equal values"
    doubtful = not worst.by_index and not worst.sure
    return found(
        first.at,
        max(first.after, 1),
        f"{share(worst.share)} of the evaluated samples ({worst.same:,} of {worst.of:,}) had been trained on before: "
        f"{how}; what the metric says of them is memory",
        facts={"same": worst.same, "compared": worst.of, "by_index": worst.by_index},
        evidence="strong" if doubtful else None,
    )


def bad() -> None:
    import torch
    from torch import nn
    from torch.utils.data import DataLoader, Subset, TensorDataset

    torch.manual_seed(0)
    inputs = torch.randn(64, 4)
    dataset = TensorDataset(inputs, inputs.sum(1, keepdim=True))
    train_loader = DataLoader(Subset(dataset, torch.randperm(64)[:48].tolist()), batch_size=12, shuffle=True)
    held_out_loader = DataLoader(Subset(dataset, torch.randperm(64)[48:].tolist()), batch_size=16)
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for _epoch in range(2):
        for batch, target in train_loader:
            optimizer.zero_grad()
            nn.functional.mse_loss(model(batch), target).backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            for batch, target in held_out_loader:  # fires
                nn.functional.mse_loss(model(batch), target).item()
        model.train()


def good() -> None:
    import torch
    from torch import nn
    from torch.utils.data import DataLoader, Subset, TensorDataset

    torch.manual_seed(0)
    inputs = torch.randn(64, 4)
    dataset = TensorDataset(inputs, inputs.sum(1, keepdim=True))
    order = torch.randperm(64).tolist()
    train_loader = DataLoader(Subset(dataset, order[:48]), batch_size=12, shuffle=True)
    held_out_loader = DataLoader(Subset(dataset, order[48:]), batch_size=16)
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for _epoch in range(2):
        for batch, target in train_loader:
            optimizer.zero_grad()
            nn.functional.mse_loss(model(batch), target).backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            for batch, target in held_out_loader:
                nn.functional.mse_loss(model(batch), target).item()
        model.train()
