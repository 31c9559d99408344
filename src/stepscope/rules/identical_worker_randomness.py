"""Every worker of a loader draws the same random numbers.

What it sees: a dataset (or its transform, its collate function) holds a random generator of its
own, and the training loader has workers. Each worker works with a copy of that generator, in the
same state. The watch has tried it out: in two forked processes, made what two workers would be,
the generator stood alike before and after a sample was read, and had moved.

Why it hurts: the augmentation of one worker's batches is that of the other's, and unless the
workers persist each epoch starts from the same state again. The data is varied far less than it
seems.

What to do: seed the generator in each worker from ``torch.initial_seed()``, which differs by
worker and by epoch, or draw from torch's own generator, which torch seeds for you.

When to ignore it: where the samples are meant to be drawn alike.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepscope.checking.readings.batches import data_of
from stepscope.checking.rule import NothingToJudge, Rule, found
from stepscope.checking.words import count, listed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepscope.checking.rule import Found
    from stepscope.record.events import LoaderStudied
    from stepscope.record.run import Run

RULE = Rule(phase="data", evidence="proof")


def check(run: Run) -> Iterator[Found]:
    data = data_of(run.main)
    trained = {one.loader: one for one in reversed(data.passes) if one.training}
    worked = [(loader, data.loaders[loader]) for loader in trained if loader in data.loaders]
    worked = [(loader, made) for loader, made in worked if made.workers]
    if not worked:
        raise NothingToJudge("no training loader has workers")
    told = set()
    for loader, made in worked:
        again = made.workers > 1 or not made.persistent
        key = (made.made_file, made.made_line)
        if made.shared and again and key not in told:
            told.add(key)
            yield _tell(made, trained[loader].update)


def _tell(made: LoaderStudied, update: int) -> Found:
    names = [one.name for one in made.shared]
    place = next(((one.file, one.line) for one in made.shared if one.line), (made.made_file, made.made_line))
    if made.workers > 1:
        alike = f"each of the {made.workers} workers gets its own copy in the same state, so their samples vary alike"
        alike += "" if made.persistent else ", and every epoch begins from that state again"
    else:
        alike = "the worker is started anew from the same state in every epoch, so all epochs vary alike"
    return found(
        place if place[1] else made,
        update,
        f"{count(len(names), 'random generator')} ({listed(names)}) of the loader over {made.cls}: {alike}; tried "
        f"out with two stand-in workers that read a sample each",
        facts={"generators": names, "workers": made.workers, "persistent": made.persistent},
        remedy="+ # in worker_init_fn: reseed it from torch.initial_seed()\n  {line}",
        evidence=None if made.workers > 1 else "strong",
    )


def bad() -> None:
    import numpy as np
    import torch
    from torch import nn
    from torch.utils.data import DataLoader, Dataset

    class Noisy(Dataset):  # type: ignore[type-arg]
        def __init__(self) -> None:
            self.inputs = torch.randn(32, 4, generator=torch.Generator().manual_seed(0))
            self.noise = np.random.default_rng(0)  # fires

        def __len__(self) -> int:
            return len(self.inputs)

        def __getitem__(self, index: int) -> torch.Tensor:
            return self.inputs[index] + 0.1 * float(self.noise.normal())

    model = nn.Linear(4, 4)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for batch in DataLoader(Noisy(), batch_size=8, shuffle=True, num_workers=2):
        optimizer.zero_grad()
        nn.functional.mse_loss(model(batch), batch).backward()
        optimizer.step()


def good() -> None:
    import numpy as np
    import torch
    from torch import nn
    from torch.utils.data import DataLoader, Dataset, get_worker_info

    class Noisy(Dataset):  # type: ignore[type-arg]
        def __init__(self) -> None:
            self.inputs = torch.randn(32, 4, generator=torch.Generator().manual_seed(0))
            self.noise = np.random.default_rng(0)

        def __len__(self) -> int:
            return len(self.inputs)

        def __getitem__(self, index: int) -> torch.Tensor:
            return self.inputs[index] + 0.1 * float(self.noise.normal())

    def reseed(_worker: int) -> None:
        info = get_worker_info()
        assert info is not None
        info.dataset.noise = np.random.default_rng(torch.initial_seed())  # type: ignore[attr-defined]

    model = nn.Linear(4, 4)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for batch in DataLoader(Noisy(), batch_size=8, shuffle=True, num_workers=2, worker_init_fn=reseed):
        optimizer.zero_grad()
        nn.functional.mse_loss(model(batch), batch).backward()
        optimizer.step()
