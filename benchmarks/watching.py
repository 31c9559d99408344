"""What watching costs

Each job in one process, blocks of updates bare and watched in random order; the ratio of the
medians, of CPU time (this kind of machine is shared; on a GPU wall time is taken). "Steady" is a
loop that has proved regular; "all rules": watched as ``stepscope check --updates all`` does.
"All told" also counts its rare updates noted in full and looked at closely, as they came. A close
look is measured with every update looked at.
"""

from __future__ import annotations

import random
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from benchmarks.jobs import JOBS, make
from stepscope.observe.schedule import Plan
from stepscope.observe.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Callable


def run(*, quick: bool) -> None:
    """Print a row per job and device."""
    torch.set_num_threads(1)
    print("| job | bare, a update | steady | budget | all told | close look | budget |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for device in ("cpu", *(("cuda",) if torch.cuda.is_available() else ())):
        for name, (_, warm) in JOBS.items():
            for thorough in (0, 200):
                _row(name, device, warm, quick=quick, thorough=thorough)


def _row(name: str, device: str, warm: int, *, quick: bool, thorough: int) -> None:
    train = make(name, device)
    train(20)
    began = time.perf_counter()
    train(20)
    update = (time.perf_counter() - began) / 20
    block = max(4, min(200, round(0.05 / update)))
    rounds = 40 if quick else 200
    rounds = max(12, min(rounds, round((10 if quick else 40) / (2 * block * update))))
    bare, steady = _compare(train, block, rounds, warm, device, plan=Plan(thorough=thorough))
    plain, looked = _compare(train, max(1, block // 10), rounds // 2, 2, device, plan=Plan(looks="all"))
    small = "linear" in name or "MLP" in name
    print(
        f"| {name}{', all rules' if thorough else ''}{'' if device == 'cpu' else ' (GPU)'} "
        f"| {1e6 * statistics.median(bare):.0f} us "
        f"| {statistics.median(steady) / statistics.median(bare):.3f} | {1.03 if small else 1.01:.2f} "
        f"| {sum(steady) / sum(bare):.3f} "
        f"| {statistics.median(looked) / statistics.median(plain):.1f} | 10 |",
        flush=True,
    )


def _compare(
    train: Callable[[int], None], block: int, rounds: int, warm: int, device: str, *, plan: Plan
) -> tuple[list[float], list[float]]:
    """Seconds per update of ``rounds`` blocks, bare and watched."""
    clock = time.process_time if device == "cpu" else time.perf_counter
    times: dict[bool, list[float]] = {False: [], True: []}
    folder = Path(tempfile.mkdtemp())
    try:
        with Watch(folder / "record", plan) as watch:
            train(warm)
            for _ in range(rounds):
                for watched in random.sample((False, True), 2):
                    times[watched].append(_block(train, block, clock, watch, watched=watched))
    finally:
        shutil.rmtree(folder)
    return times[False], times[True]


def _block(
    train: Callable[[int], None], block: int, clock: Callable[[], float], watch: Watch, *, watched: bool
) -> float:
    if watched:
        return _timed(train, block, clock)
    with watch.paused():
        return _timed(train, block, clock)


def _timed(train: Callable[[int], None], block: int, clock: Callable[[], float]) -> float:
    train(max(1, block // 8))  # not counted: the interpreter has to get used to the exchanged functions
    began = clock()
    train(block)
    return (clock() - began) / block
