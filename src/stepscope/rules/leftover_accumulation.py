"""The micro-batches left over at the end of a pass are thrown away, or leak into the next pass.

What it sees: a pass over the data ends between two steps of an optimizer that accumulates; what the
last micro-batches added is cleared before a step uses it, or waits through the evaluation for the
first step of the next pass.

Why it hurts: thrown away, the last samples of every pass teach nothing. Carried over, one step uses
more micro-batches than it is divided by, and the last ones of the training are never used.

What to do: step at the end of the pass as well, with the loss divided by what is left over.

When to ignore it: where the loader shuffles, and few samples of each pass are left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stepscope.checking.readings.accumulation import accumulating, usual_rounds
from stepscope.checking.readings.loop import timeline
from stepscope.checking.rule import NothingToJudge, Rule, found
from stepscope.checking.words import count
from stepscope.record import events as ev

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepscope.checking.rule import Found
    from stepscope.record.run import RankRun, Run

RULE = Rule(phase="clear and step", evidence="hint", severity="warning")

#: What happens around an epoch: where none of it does, the stream of batches is rather meant to be endless.
_AROUND = (ev.ModeChanged, ev.Evaluated, ev.SchedulerStepped, ev.GradientsDisabled)


@dataclass(frozen=True)
class _Leftover:
    """What waited when a pass ended; ``cleared`` is None where it was carried over."""

    update: int
    rounds: int
    step: ev.OptimizerStepped
    cleared: ev.GradientsCleared | None


def check(run: Run) -> Iterator[Found]:
    main = run.main
    them = accumulating(main)
    if not any(isinstance(event, ev.PassEnded) for event in main.events):
        raise NothingToJudge("no pass over the data ended")
    for owner, found_windows in them.items():
        left = list(_leftovers(main, owner))
        if left:
            yield _tell(main, owner, left, usual_rounds(found_windows))


def _leftovers(main: RankRun, owner: str) -> Iterator[_Leftover]:
    feeding = main.main_loader
    waiting = ended = 0
    around = False
    step: ev.OptimizerStepped | None = None
    for number, event in timeline(main, ev.PassEnded, *_AROUND):
        if isinstance(event, ev.PassEnded):
            if event.loader == feeding:
                ended, around = waiting, False
        elif isinstance(event, _AROUND):
            around = True
        elif isinstance(event, ev.GradientsCleared) and owner in event.owners:
            if ended and step is not None:
                yield _Leftover(number, ended, step, event)
            waiting = ended = 0
        elif isinstance(event, ev.Backward) and owner in event.owners:
            if ended and around and step is not None:
                yield _Leftover(number, ended, step, None)
            ended = 0
            waiting += 1
        elif isinstance(event, ev.OptimizerStepped) and event.optimizer == owner:
            waiting = ended = 0
            step = event


def _tell(main: RankRun, owner: str, left: list[_Leftover], usual: int) -> Found:
    first = left[0]
    optimizer = main.optimizer_name(owner)
    if first.cleared is None:
        what = (
            f"waits for the first step of the next pass, which then uses {first.rounds + usual} of them "
            f"instead of {usual}"
        )
    else:
        what = "is cleared before a step uses it"
    at = first.cleared if first.cleared is not None and first.cleared.file is not None else first.step
    return found(
        at,
        first.update,
        f"{optimizer} steps after every {usual} micro-batches, and a pass over the data leaves "
        f"{count(first.rounds, 'micro-batch')} over: what they added {what}; "
        f"so it went at the end of {count(len(left), 'pass')}",
        facts={"optimizer": optimizer, "rounds": usual, "left": first.rounds, "carried": first.cleared is None},
        remedy=f"- if (i + 1) % {usual} == 0:\n+ if (i + 1) % {usual} == 0 or i + 1 == len(loader):",
    )


def bad() -> None:
    import torch
    from torch import nn
    from torch.utils.data import DataLoader, TensorDataset

    torch.manual_seed(0)
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    data = TensorDataset(torch.randn(40, 4), torch.randint(2, (40,)))
    loader = DataLoader(data, batch_size=4, shuffle=True)
    for _epoch in range(3):
        optimizer.zero_grad()  # fires
        for i, (inputs, targets) in enumerate(loader):
            loss = nn.functional.cross_entropy(model(inputs), targets)
            (loss / 4).backward()
            if (i + 1) % 4 == 0:
                optimizer.step()
                optimizer.zero_grad()


def good() -> None:
    import torch
    from torch import nn
    from torch.utils.data import DataLoader, TensorDataset

    torch.manual_seed(0)
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    data = TensorDataset(torch.randn(40, 4), torch.randint(2, (40,)))
    loader = DataLoader(data, batch_size=4, shuffle=True)
    for _epoch in range(3):
        optimizer.zero_grad()
        for i, (inputs, targets) in enumerate(loader):
            window = min(4, len(loader) - i // 4 * 4)
            loss = nn.functional.cross_entropy(model(inputs), targets)
            (loss / window).backward()
            if (i + 1) % 4 == 0 or i + 1 == len(loader):
                optimizer.step()
                optimizer.zero_grad()
