"""The evaluation data is different each time it is read.

What it sees: two passes over an evaluation loader, in which the same samples came with other
values, because their augmentation (a random crop, a flip, noise) is drawn anew.

Why it hurts: the metric moves from epoch to epoch without any help from the model; "best" epochs
are partly chosen by luck, and the numbers are lower than the model's.

What to do: give the evaluation set the deterministic transform: often both sets are subsets of
one dataset, and so share the training transform.

When to ignore it: where averaging over random views is part of the evaluation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepscope.checking.readings.batches import data_of, main_mark
from stepscope.checking.rule import NothingToJudge, Rule, found
from stepscope.checking.words import share

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepscope.checking.readings.batches import Batch, Data, Pass
    from stepscope.checking.rule import Found
    from stepscope.record.numbers import Number
    from stepscope.record.run import Run

RULE = Rule(phase="data", evidence="strong", severity="warning")


def check(run: Run) -> Iterator[Found]:
    data = data_of(run.main)
    passes: dict[str, list[Pass]] = {}
    for one in data.passes:
        if one.evaluating:
            passes.setdefault(one.loader, []).append(one)
    pairs = [(one[0], other) for one in passes.values() for other in one[1:2]]
    pairs = [(one, other) for one, other in pairs if one.update != other.update]  # else averaged over views
    if not pairs:
        raise NothingToJudge("no evaluation data was read twice")
    for one, other in pairs:
        first, second = _samples(one), _samples(other)
        both = first.keys() & second.keys()
        changed = sum(first[key] != second[key] for key in both)
        rewritten = any(batch.seen is not None and batch.seen.rewrote for batch in [*one.batches, *other.batches])
        if changed > len(both) / 2 and not rewritten and _draws(data, other):
            yield _tell(data, one, changed, len(both))


def _samples(one: Pass) -> dict[int, Number]:
    """What each sample of a pass held, by its index."""
    held: dict[int, Number] = {}
    for batch in one.batches:
        mark = main_mark(batch.marks)
        if mark is not None and mark.whole and len(mark.samples) == len(batch.indices):
            held.update(zip(batch.indices, mark.samples, strict=True))
    return held


def _draws(data: Data, one: Pass) -> bool:
    """Whether reading draws random numbers; unknown of workers, which may."""
    made = data.loaders.get(one.loader)
    return (made is not None and made.workers > 0) or any(batch.seen and batch.seen.drew for batch in one.batches)


def _doubtful(batch: Batch) -> bool:
    """Whether the draw may be the task itself: masked tokens, noise over clean samples, several views."""
    mark = main_mark(batch.marks)
    alike = [other for other in batch.marks if mark is not None and other.shape == mark.shape]
    return mark is None or not mark.floats or len(alike) > 1


def _tell(data: Data, one: Pass, changed: int, both: int) -> Found:
    made = data.loaders.get(one.loader)
    drew = sorted({name for batch in one.batches if batch.seen is not None for name in batch.seen.drew})
    named = made.cls if made is not None else "the loader"
    return found(
        (made.made_file, made.made_line) if made is not None and made.made_line else one.batches[0].event,
        one.update,
        f"{share(changed / both)} of the evaluation samples of {named} ({changed:,} of {both:,}) held other values "
        f"when they were read again{': reading them draws random numbers (' + ', '.join(drew) + ')' if drew else ''}; "
        f"two evaluations of the same weights would differ",
        facts={"changed": changed, "compared": both, "drew": drew},
        evidence="hint" if _doubtful(one.batches[0]) else None,
    )


def bad() -> None:
    import torch
    from torch import nn
    from torch.utils.data import DataLoader, Dataset, random_split

    class Jittered(Dataset):  # type: ignore[type-arg]
        def __init__(self) -> None:
            self.inputs = torch.randn(48, 4)

        def __len__(self) -> int:
            return len(self.inputs)

        def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
            return self.inputs[index] + 0.1 * torch.randn(4), self.inputs[index].sum(0, keepdim=True)

    torch.manual_seed(3)
    train_set, held_out = random_split(Jittered(), [32, 16])
    train_loader = DataLoader(train_set, batch_size=8, shuffle=True)
    held_out_loader = DataLoader(held_out, batch_size=8)  # fires
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for _epoch in range(3):
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
    from torch.utils.data import DataLoader, Dataset

    class Jittered(Dataset):  # type: ignore[type-arg]
        def __init__(self, inputs: torch.Tensor, noise: float) -> None:
            self.inputs, self.noise = inputs, noise

        def __len__(self) -> int:
            return len(self.inputs)

        def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
            return self.inputs[index] + self.noise * torch.randn(4), self.inputs[index].sum(0, keepdim=True)

    torch.manual_seed(3)
    inputs = torch.randn(48, 4)
    train_loader = DataLoader(Jittered(inputs[:32], 0.1), batch_size=8, shuffle=True)
    held_out_loader = DataLoader(Jittered(inputs[32:], 0.0), batch_size=8)
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for _epoch in range(3):
        for batch, target in train_loader:
            optimizer.zero_grad()
            nn.functional.mse_loss(model(batch), target).backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            sum(nn.functional.mse_loss(model(batch), target).item() for batch, target in held_out_loader)
        model.train()
