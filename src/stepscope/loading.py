"""``stepscope.load``: open a record that was written earlier."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from stepscope.record.run import Run

if TYPE_CHECKING:
    import os


def load(folder: str | os.PathLike[str]) -> Run:
    """Open the record in ``folder``.

    Raises:
        RecordError: the folder is no record, or it is damaged.
        NewerSchemaError: it was written by a newer stepscope.
    """
    return Run(Path(folder))
