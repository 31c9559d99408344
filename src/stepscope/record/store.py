"""The record on disk: a folder that is written as the run goes and never rewritten.

``run.json`` says what ran, ``events-rank0.jsonl`` holds an event a line, ``tensors/`` the
values of updates that were looked at closely. Every line is handed to the operating system
at once, so that ``kill -9`` loses at most the line being written; a reader skips a last line
that is cut.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from stepscope.errors import NewerSchemaError, RecordError
from stepscope.record.events import AnyEvent, RunEnded
from stepscope.record.numbers import to_number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: Raised with every change that an older reader would misread.
SCHEMA = 1

RUN_FILE = "run.json"
TENSORS = "tensors"

#: How much of the end of a file holds its last event, in bytes.
_TAIL = 1 << 16


class RunInfo(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What ran: the contents of ``run.json``. ``started`` is in seconds since 1970, UTC."""

    schema: int
    stepscope: str = ""
    script: str | None = None
    arguments: list[str] = []
    command: str = ""
    folder: str = ""
    started: float = 0.0
    python: str = ""
    torch: str | None = None
    platform: str = ""
    ranks: int = 1
    git_commit: str | None = None
    git_dirty: bool | None = None


class Writer:
    """Appends events to a record; gives up, once and aloud, when the disk does."""

    def __init__(self, folder: Path, rank: int, on_failure: Callable[[OSError], None]) -> None:
        """Open the events file of ``rank`` below ``folder``, making the folder."""
        self.folder = folder
        self.rank = rank
        self.failed: OSError | None = None
        self._on_failure = on_failure
        self._descriptor = -1
        self._buffer = bytearray()
        self._has_tensors = False
        try:
            folder.mkdir(parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_CLOEXEC", 0)
            self._descriptor = os.open(events_path(folder, rank), flags, 0o644)
        except OSError as error:
            self._give_up(error)

    def write_info(self, info: RunInfo) -> None:
        """Write ``run.json``, whole or not at all."""
        if self.failed:
            return
        target = self.folder / RUN_FILE
        try:
            temporary = target.with_suffix(f".{os.getpid()}.tmp")
            temporary.write_bytes(msgspec.json.format(to_json(info), indent=2) + b"\n")
            temporary.replace(target)
        except OSError as error:
            self._give_up(error)

    def append(self, event: AnyEvent) -> None:
        """Add an event to what :meth:`flush` writes next."""
        if self.failed is None:
            self._buffer += to_json(event)
            self._buffer += b"\n"

    def flush(self) -> None:
        """Hand all events so far to the operating system."""
        if not self._buffer or self.failed:
            return
        data, self._buffer = bytes(self._buffer), bytearray()
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(self._descriptor, view) :]
        except OSError as error:
            self._give_up(error)

    def write_tensors(self, name: str, arrays: dict[str, Any]) -> str | None:
        """Save ``arrays`` (NumPy, float32) as ``tensors/name``; return the name if it is there."""
        if self.failed or not arrays:
            return None
        from safetensors.numpy import save

        try:
            path = self.folder / TENSORS / name
            if not self._has_tensors:
                path.parent.mkdir(exist_ok=True)
                self._has_tensors = True
            path.write_bytes(save(arrays))
        except OSError as error:
            self._give_up(error)
            return None
        return name

    def close(self) -> None:
        """Write what is left and close the file. Safe to call twice."""
        self.flush()
        self.abandon()

    def abandon(self) -> None:
        """Close without writing: in a forked child the buffer is the parent's."""
        self._buffer = bytearray()
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _give_up(self, error: OSError) -> None:
        self.failed = error
        self._buffer = bytearray()
        self._on_failure(error)


def _plainly(value: object) -> object:
    """The number or text in a value of a kind that JSON does not know: NumPy's scalars, say."""
    for kind in (int, float, str):
        if isinstance(value, kind):
            return to_number(float(value)) if kind is float else kind(value)
    raise TypeError(f"a record cannot hold {type(value).__name__}")


_encoder = msgspec.json.Encoder(enc_hook=_plainly)


def to_json(value: object) -> bytes:
    """Encode ``value``; a name that is no Unicode (a path of odd bytes) has them written out."""
    try:
        return _encoder.encode(value)
    except UnicodeEncodeError:
        return _encoder.encode(_in_unicode(msgspec.to_builtins(value)))


def _in_unicode(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {_in_unicode(key): _in_unicode(item) for key, item in value.items()}
    return [_in_unicode(item) for item in value] if isinstance(value, list) else value


def events_path(folder: Path, rank: int) -> Path:
    """Where the events of ``rank`` lie."""
    return folder / f"events-rank{rank}.jsonl"


def read_info(folder: Path) -> RunInfo:
    """Read ``run.json``.

    Raises:
        RecordError: the folder is no record.
        NewerSchemaError: it was written by a newer stepscope.
    """
    path = folder / RUN_FILE
    try:
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        what = "is not a folder" if folder.is_file() else "holds no run.json" if folder.exists() else "does not exist"
        raise RecordError(f"{folder} is no record of stepscope: it {what}") from None
    except OSError as error:
        raise RecordError(f"cannot read {path}: {error.strerror or error}") from None
    try:
        schema = msgspec.json.decode(data, type=_Schema).schema
        if schema > SCHEMA:
            raise NewerSchemaError(
                f"{folder} was written by a newer stepscope (record schema {schema}; this one reads up to "
                f"{SCHEMA}). Upgrade with: pip install --upgrade stepscope"
            )
        return msgspec.json.decode(data, type=RunInfo)
    except msgspec.MsgspecError as error:
        raise RecordError(f"{path} is damaged: {error}") from None


class _Schema(msgspec.Struct):
    schema: int


def ranks_of(folder: Path) -> list[int]:
    """The ranks that left events in ``folder``, in order."""
    numbers = (
        path.name.removeprefix("events-rank").removesuffix(".jsonl") for path in folder.glob("events-rank*.jsonl")
    )
    return sorted(int(number) for number in numbers if number.isdecimal())


def has_ended(folder: Path, rank: int) -> bool:
    """Whether the last event of ``rank`` is the end of its run; tells without reading the others."""
    try:
        with events_path(folder, rank).open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL))
            last = file.read().rstrip(b"\n").rpartition(b"\n")[2]
        return isinstance(msgspec.json.decode(last, type=AnyEvent), RunEnded)
    except (OSError, msgspec.MsgspecError):
        return False


def read_events(folder: Path, rank: int) -> Iterator[AnyEvent]:
    """Yield the events of ``rank`` in order; a line that is cut or unknown is passed over."""
    decoder = msgspec.json.Decoder(AnyEvent)
    with events_path(folder, rank).open("rb") as lines:
        for line in lines:
            try:
                yield decoder.decode(line)
            except (msgspec.MsgspecError, UnicodeDecodeError):
                continue


def read_tensors(folder: Path, name: str | None) -> dict[str, Any]:
    """The arrays that a look kept; empty where the file is missing or cut."""
    if name is None:
        return {}
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return dict(load_file(folder / TENSORS / Path(name).name))
    except (OSError, SafetensorError):
        return {}
