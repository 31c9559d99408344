"""Whether the workers of a loader draw the same random numbers: tried out, in processes of our own.

A fork of this process becomes what a worker of the loader would be (its number, its seeds, its
``worker_init_fn``) and reads one sample. How the states of the random generators stand before and
after comes back through a pipe, then the fork is gone; this process and the real workers notice
nothing.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import random
import select
import signal
import sys
import warnings
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec
import torch
from torch.utils.data._utils import worker as workers

from stepscope.observe.thorough.feeding import Own, common_generators

if TYPE_CHECKING:
    from collections.abc import Callable

#: How long a fork may take to read one sample, in seconds.
_PATIENCE = 5.0


class Shared(msgspec.Struct, frozen=True):
    """The states of the generators of one worker, before and after it has read a sample."""

    before: list[bytes]
    after: list[bytes]


def shared_draws(loader: Any, own: list[Own]) -> list[int] | None:
    """Which generators (by position, the common ones behind ``own``) draw alike in every worker.

    With a single worker: alike in every epoch.

    None where it could not be tried.
    """
    if not hasattr(os, "fork") or multiprocessing.get_start_method(allow_none=True) not in {None, "fork"}:
        return None
    context = getattr(loader, "multiprocessing_context", None)
    if context is not None and context.get_start_method() != "fork":
        return None
    first = _tried(loader, own, 0, 0)
    second = _tried(loader, own, 1, 1) if loader.num_workers > 1 else _tried(loader, own, 0, 1)  # the next epoch's
    if first is None or second is None:
        return None
    return [
        place
        for place, (a, b, c, d) in enumerate(zip(first.before, second.before, first.after, second.after, strict=True))
        if a == b and c == d and a != c
    ]


def names(own: list[Own]) -> list[str]:
    """What the positions that :func:`shared_draws` returns stand for."""
    return [*(one.path for one in own), *common_generators()]


def _tried(loader: Any, own: list[Own], worker: int, seed: int) -> Shared | None:
    receiver, sender = os.pipe()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            child = os.fork()
        if child == 0:
            _become(loader, own, worker, seed, sender)
        os.close(sender)
        sender = -1
        data = _received(receiver)
        with suppress(OSError):
            os.kill(child, signal.SIGKILL)
        with suppress(OSError):
            os.waitpid(child, 0)
    finally:
        os.close(receiver)
        if sender >= 0:
            os.close(sender)
    try:
        return msgspec.msgpack.decode(data, type=Shared) if data else None
    except msgspec.MsgspecError:
        return None


def _received(receiver: int) -> bytes:
    data = b""
    while select.select([receiver], [], [], _PATIENCE)[0]:
        part = os.read(receiver, 1 << 16)
        if not part:
            return data
        data += part
    return b""


def _become(loader: Any, own: list[Own], worker: int, seed: int, sender: int) -> None:
    """In the fork: be the worker, read a sample, tell, and be gone; never return."""
    try:
        silent = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silent, 1)
        os.dup2(silent, 2)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM):
            signal.signal(number, signal.SIG_DFL)
        readers = [*(one.state for one in own), *common_generators().values()]
        _seed(loader, worker, 0x5CA1AB1E + seed)
        before = _states(readers)
        _read_a_sample(loader)
        os.write(sender, msgspec.msgpack.encode(Shared(before, _states(readers))))
    finally:
        os._exit(0)


def _states(readers: list[Callable[[], bytes]]) -> list[bytes]:
    return [hashlib.blake2b(read(), digest_size=8).digest() for read in readers]


def _seed(loader: Any, worker: int, seed: int) -> None:
    """As torch's own worker loop begins."""
    torch.set_num_threads(1)
    random.seed(seed)
    torch.manual_seed(seed)
    numpy = sys.modules.get("numpy.random")
    if numpy is not None:
        numpy.seed(seed)
    workers._worker_info = workers.WorkerInfo(
        id=worker, num_workers=loader.num_workers, seed=seed, dataset=loader.dataset
    )
    if loader.worker_init_fn is not None:
        loader.worker_init_fn(worker)


def _read_a_sample(loader: Any) -> None:
    dataset = loader.dataset
    iterable = isinstance(dataset, torch.utils.data.IterableDataset)
    sample = next(iter(dataset)) if iterable else dataset[0]
    if loader.batch_size is not None:
        loader.collate_fn([sample])
