"""``stepscope.watch()``: observe all training inside a ``with`` block."""

from __future__ import annotations

import contextlib
import os
import platform
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

from stepscope.errors import RecordError, UsageError
from stepscope.observe import places
from stepscope.observe.imports import ImportWatch
from stepscope.observe.notice import say
from stepscope.observe.schedule import Looks, Plan
from stepscope.observe.stopping import Stopper
from stepscope.record.run import Run
from stepscope.record.store import SCHEMA, RunInfo, Writer
from stepscope.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType, TracebackType

    from stepscope.observe.seams.base import Seam
    from stepscope.observe.session import Session

_current: Watch | None = None


def watch(record: str | os.PathLike[str] | None = None, *, looks: Looks = "auto") -> Watch:
    """Watch all training inside a ``with`` block, and keep a record of it.

    Args:
        record: The folder to write the record to. By default a new folder below
            ``.stepscope/runs`` in the working directory.
        looks: How many updates to look at closely: ``"auto"`` (the first ones, then ever more
            rarely), ``"all"``, or a number of updates from the first.

    Returns:
        A context manager. After (or inside) the block its ``run`` is the
        :class:`~stepscope.record.run.Run`.

    Raises:
        UsageError: ``looks`` is none of these, or another watch is already open.

    Example:
        >>> with stepscope.watch() as watched:  # doctest: +SKIP
        ...     train(model)
        >>> watched.run.updates[0].loss  # doctest: +SKIP
        2.3025
    """
    if looks not in {"auto", "all"} and not (isinstance(looks, int) and not isinstance(looks, bool) and looks >= 0):
        raise UsageError(f"looks must be 'auto', 'all' or a number of updates, not {looks!r}")
    return Watch(None if record is None else Path(record), Plan(looks=looks))


class Watch:
    """An open watch: seams in torch, and a record that is being written."""

    def __init__(
        self, folder: Path | None, plan: Plan, script: str | None = None, arguments: list[str] | None = None
    ) -> None:
        """Prepare to watch; :meth:`start` puts the seams in."""
        self._plan = plan
        self._script = script
        self._arguments = arguments or []
        self._wanted = folder
        self._imports = ImportWatch()
        self._seams: list[Seam] = []
        self._session: Session | None = None
        self._writer: Writer | None = None
        self._info = RunInfo(schema=SCHEMA)
        self.stopper: Stopper | None = None
        self._pid = os.getpid()
        self.folder: Path = folder or Path()

    # Opening.

    def __enter__(self) -> Self:
        """Start watching."""
        self.start()
        return self

    def start(self) -> None:
        """Open the record; put the seams in now, or as soon as torch is imported."""
        global _current  # noqa: PLW0603  # torch's seams are global, so there is one watch
        if _current is not None:
            raise UsageError("another stepscope watch is already open in this process; close it first")
        _current = self
        self._pid = os.getpid()
        rank, world = places.rank()
        self.folder = places.folder_for(self._wanted, self._script)
        self._writer = Writer(self.folder, rank, self._disk_failed)
        self._info = self._describe(world)
        if rank == 0:
            self._writer.write_info(self._info)
        self._imports.when_imported("torch", self._install_safely)

    def _describe(self, ranks: int) -> RunInfo:
        commit, dirty = places.git_state()
        return RunInfo(
            schema=SCHEMA,
            stepscope=__version__,
            script=self._script,
            arguments=self._arguments,
            command=" ".join(sys.orig_argv),
            folder=str(Path.cwd()),
            started=time.time(),
            python=platform.python_version(),
            platform=platform.platform(),
            ranks=ranks,
            git_commit=commit,
            git_dirty=dirty,
        )

    def _disk_failed(self, error: OSError) -> None:
        what = error.strerror or str(error)
        say(f"cannot write the record to {self.folder} ({what}); recording stops, your training goes on")

    def _install_safely(self, module: ModuleType) -> None:
        try:
            self._install(module)
        except Exception as error:  # noqa: BLE001  # ours: it must not reach the script's ``import torch``
            say(f"a defect of stepscope ({type(error).__name__}: {error}); nothing is observed, your training goes on")

    def _install(self, module: ModuleType) -> None:
        """Put the seams in: torch has just been imported."""
        from stepscope.observe.seams import all_seams
        from stepscope.observe.session import Session

        assert self._writer is not None
        self._session = Session(self._writer, self._plan, self._writer.rank)
        self._session.seams = self._seams
        if self._plan.limits is not None:
            self._session.stopper = self.stopper = Stopper(
                self._plan.limits, self.folder, self._writer.rank, self._info.ranks
            )
        if self._writer.rank == 0:
            import msgspec

            self._info = msgspec.structs.replace(self._info, torch=str(module.__version__))
            self._writer.write_info(self._info)
        for kind in all_seams():
            self._imports.when_imported(kind.module, kind(self._session).adopt(self._seams))

    # Closing.

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop watching; an exception passes through as it is."""
        if error is not None:
            strip_own_frames(error)
        if kind is None:
            self.stop("finished")
        elif issubclass(kind, KeyboardInterrupt):
            self.stop("interrupted")
        elif issubclass(kind, SystemExit):
            self.stop("exit")
        else:
            self.stop("exception", f"{kind.__name__}: {error}")

    def stop(self, reason: str = "finished", message: str = "") -> None:
        """Take every seam out and close the record. Safe to call twice."""
        global _current  # noqa: PLW0603
        if _current is not self:
            return
        _current = None
        self._imports.close()
        for seam in reversed(self._seams):
            seam.remove()
        self._seams.clear()
        if self._session is not None:
            with _own_failures():
                self._session.end(reason, message)
        if self._writer is not None:
            if self._session is None:
                self._end_without_torch(reason, message)
            self._writer.close()

    def _end_without_torch(self, reason: str, message: str) -> None:
        import msgspec

        from stepscope.record.events import RunEnded

        assert self._writer is not None
        event = msgspec.convert({"event": "run-ended", "reason": reason, "message": message}, RunEnded)
        self._writer.append(event)

    def retire_in_child(self) -> None:
        """In a forked child: observe nothing, write nothing."""
        self._imports.close()
        for seam in self._seams:
            seam.remove()
        if self._writer is not None:
            self._writer.abandon()

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Run the block as if there were no watch; what happens in it is not recorded."""
        with contextlib.ExitStack() as stack:
            for seam in self._seams:
                stack.enter_context(seam.paused())
            yield

    # Reading.

    @property
    def failed(self) -> OSError | None:
        """Why recording stopped early; None where it did not."""
        return self._writer.failed if self._writer else None

    @property
    def in_child(self) -> bool:
        """Whether this is a fork of the process that is watched."""
        return os.getpid() != self._pid

    @property
    def saw_torch(self) -> bool:
        """Whether torch was imported at all."""
        return self._session is not None

    @property
    def run(self) -> Run:
        """The run as recorded so far.

        Raises:
            RecordError: nothing could be recorded.
        """
        if self._session is not None and _current is self:
            self._session.notes.flush()
        if self.failed is not None and not (self.folder / "run.json").is_file():
            raise RecordError(f"nothing was recorded: {self.folder} cannot be written ({self.failed.strerror})")
        return Run(self.folder)


def strip_own_frames(error: BaseException) -> None:
    """Take stepscope's own frames out of the traceback, also of its causes."""
    from stepscope.observe.frames import is_own

    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        one.__traceback__ = _without(one.__traceback__, is_own)
        waiting += [one.__cause__, one.__context__]
        if isinstance(one, BaseExceptionGroup):
            waiting += one.exceptions


def _without(trace: TracebackType | None, is_own: Callable[[str], bool]) -> TracebackType | None:
    while trace is not None and is_own(trace.tb_frame.f_code.co_filename):
        trace = trace.tb_next
    first = trace
    while trace is not None:
        following = trace.tb_next
        while following is not None and is_own(following.tb_frame.f_code.co_filename):
            following = following.tb_next
        if following is not trace.tb_next:
            trace.tb_next = following
        trace = following
    return first


@contextlib.contextmanager
def _own_failures() -> Iterator[None]:
    try:
        yield
    except Exception as error:  # noqa: BLE001  # closing the record must not fail the training
        say(f"a defect of stepscope while closing the record ({type(error).__name__}: {error})")


def _after_fork() -> None:
    global _current  # noqa: PLW0603
    if _current is not None:
        _current.retire_in_child()
        _current = None


os.register_at_fork(after_in_child=_after_fork)
