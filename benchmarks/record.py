"""How large the record and the watch grow

100,000 tiny updates (a 4-to-2 linear layer), once in epochs of 100 batches from a DataLoader and
once without a loader; the size of the record on disk and the memory that Python holds for the
watch, as the run grows. The budget is 20 MB on disk, and memory that does not grow.
"""

from __future__ import annotations

import gc
import shutil
import tempfile
import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import stepscope

if TYPE_CHECKING:
    from collections.abc import Iterator

    Batch = tuple[torch.Tensor, torch.Tensor]


def run(*, quick: bool) -> None:
    """Print a row per mark on the way."""
    updates = 20_000 if quick else 100_000
    print("| loop | updates | record on disk | Python memory |")
    print("| --- | ---: | ---: | ---: |")
    for name, batches in (
        ("without a loader", _plain()),
        ("epochs of 100 batches", _epochs(100)),
        ("epochs of 1 batch", _epochs(1)),
    ):
        _measure(name, batches, updates)


def _plain() -> Iterator[Batch]:
    inputs, targets = torch.randn(8, 4), torch.randint(0, 2, (8,))
    while True:
        yield inputs, targets


def _epochs(batches: int) -> Iterator[Batch]:
    data = TensorDataset(torch.randn(batches * 2, 4), torch.randint(0, 2, (batches * 2,)))
    loader = DataLoader(data, batch_size=2)
    while True:
        yield from loader


def _measure(name: str, batches: Iterator[Batch], updates: int) -> None:
    torch.manual_seed(0)
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    folder = Path(tempfile.mkdtemp())
    marks = {updates // 10, updates // 2, updates}
    try:
        with stepscope.watch(folder / "record"):
            for number in range(1, updates + 1):
                inputs, targets = next(batches)
                optimizer.zero_grad()
                nn.functional.cross_entropy(model(inputs), targets).backward()
                optimizer.step()
                if number == updates // 20:
                    tracemalloc.start()
                if number in marks:
                    gc.collect()
                    print(
                        f"| {name} | {number:,} | {_size(folder) / 1e6:.2f} MB "
                        f"| {tracemalloc.get_traced_memory()[0] / 1e3:.0f} kB since update {updates // 20:,} |",
                        flush=True,
                    )
    finally:
        tracemalloc.stop()
        shutil.rmtree(folder)


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
