"""Reading a sample changes it where the dataset keeps it.

What it sees: after a batch was put together (in this process), what the dataset stores for its
samples is no longer what it was, and this happened again to samples that had been read before. A
cache is filled once; this goes on.

Why it hurts: augmentation and normalisation pile up. In the second epoch noise is added to noise,
masked values are masked for good, and what is called the original is none any longer.

What to do: copy before changing: ``.clone()``, ``.copy()``, or an operation that is not in place.

When to ignore it: where the dataset is meant to wander.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepscope.checking.readings.batches import data_of
from stepscope.checking.rule import NothingToJudge, Rule, found
from stepscope.checking.words import count

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepscope.checking.readings.batches import Batch, Data
    from stepscope.checking.rule import Found
    from stepscope.record.run import Run

RULE = Rule(phase="data", evidence="proof")


def check(run: Run) -> Iterator[Found]:
    data = data_of(run.main)
    by_data: dict[str, list[Batch]] = {}
    for one in data.passes:
        made = data.loaders.get(one.loader)
        if made is not None and not made.iterable and not made.workers:
            by_data.setdefault(made.data or one.loader, []).extend(one.batches)
    again = {key: _rewritten_again(batches) for key, batches in by_data.items()}
    if not any(_read_twice(batches) for batches in by_data.values()):
        raise NothingToJudge("no sample was read twice in this process")
    told = set()
    for key, batches in again.items():
        cls = next(made.cls for loader, made in data.loaders.items() if (made.data or loader) == key)
        if batches and cls not in told:  # training and evaluation data of one class: one cause
            told.add(cls)
            yield _tell(data, key, batches)


def _read_twice(batches: list[Batch]) -> bool:
    seen = [index for batch in batches for index in batch.indices]
    return len(set(seen)) < len(seen)


def _rewritten_again(batches: list[Batch]) -> list[tuple[Batch, int]]:
    """The batches that rewrote samples which had been read before, and how many each."""
    read: set[int] = set()
    found_: list[tuple[Batch, int]] = []
    for batch in batches:
        again = sum(index in read for index in (batch.seen.rewrote if batch.seen is not None else ()))
        if again:
            found_.append((batch, again))
        read.update(batch.indices)
    return found_


def _tell(data: Data, key: str, batches: list[tuple[Batch, int]]) -> Found:
    first, samples = batches[0]
    assert first.seen is not None
    made = next(made for loader, made in data.loaders.items() if (made.data or loader) == key)
    total = sum(again for _, again in batches)
    return found(
        first.event,
        max(first.call.update, 1) if first.call is not None else 1,
        f"reading samples of {made.cls} changes what it keeps in '{first.seen.stored}': {count(samples, 'sample')} of "
        f"those compared in this batch had been read before and {'is' if samples == 1 else 'are'} different now "
        f"from what was stored a moment ago; over {len(batches):,} batches so it went {total:,} times",
        facts={"dataset": made.cls, "stored": first.seen.stored, "times": total, "batches": len(batches)},
        remedy="- sample = self.samples[index]\n+ sample = self.samples[index].clone()",
    )


def bad() -> None:
    import torch
    from torch import nn
    from torch.utils.data import DataLoader, Dataset

    class Jittered(Dataset):  # type: ignore[type-arg]
        def __init__(self) -> None:
            self.inputs = torch.randn(32, 4)

        def __len__(self) -> int:
            return len(self.inputs)

        def __getitem__(self, index: int) -> torch.Tensor:
            sample = self.inputs[index]
            sample += 0.1 * torch.randn(4)
            return sample

    torch.manual_seed(0)
    loader = DataLoader(Jittered(), batch_size=8, shuffle=True)
    model = nn.Linear(4, 4)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for _epoch in range(3):
        for batch in loader:  # fires
            optimizer.zero_grad()
            nn.functional.mse_loss(model(batch), batch).backward()
            optimizer.step()


def good() -> None:
    import torch
    from torch import nn
    from torch.utils.data import DataLoader, Dataset

    class Jittered(Dataset):  # type: ignore[type-arg]
        def __init__(self) -> None:
            self.inputs = torch.randn(32, 4)

        def __len__(self) -> int:
            return len(self.inputs)

        def __getitem__(self, index: int) -> torch.Tensor:
            return self.inputs[index] + 0.1 * torch.randn(4)

    torch.manual_seed(0)
    loader = DataLoader(Jittered(), batch_size=8, shuffle=True)
    model = nn.Linear(4, 4)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for _epoch in range(3):
        for batch in loader:
            optimizer.zero_grad()
            nn.functional.mse_loss(model(batch), batch).backward()
            optimizer.step()
