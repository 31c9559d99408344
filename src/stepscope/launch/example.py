"""Watching a function of an installed module as if it were a user's script: the examples of rules.

Run as ``python -m stepscope.launch.example MODULE FUNCTION FOLDER`` it is one process of several.
"""

from __future__ import annotations

import importlib
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from stepscope.errors import StepscopeError
from stepscope.loading import load
from stepscope.observe.frames import count_as_user
from stepscope.observe.schedule import Plan
from stepscope.observe.watch import Watch

if TYPE_CHECKING:
    from stepscope.record.run import Run

#: How long the processes of an example may take, in seconds.
PATIENCE = 120


def watch_example(module: str, function: str, folder: Path, processes: int = 1) -> Run:
    """Run ``function`` of ``module``, watched as ``stepscope check`` would, and return its record.

    Raises:
        StepscopeError: one of several processes failed; what the function itself raises passes
            through where there is only one.
    """
    if processes > 1:
        _run_together([sys.executable, "-m", __name__, module, function, str(folder)], processes)
        return load(folder)
    home = importlib.import_module(module)
    assert home.__file__ is not None
    count_as_user(home.__file__)
    with Watch(folder, Plan(thorough=200)) as watched:
        getattr(home, function)()
    return watched.run


def _run_together(command: list[str], processes: int) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    shared = {**os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": str(processes)}
    shared |= {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    running = [
        subprocess.Popen(  # noqa: S603  # this very interpreter, on a module of ours
            command, env={**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)}, stderr=subprocess.PIPE, text=True
        )
        for rank in range(processes)
    ]
    errors = []
    for rank, process in enumerate(running):
        _, written = process.communicate(timeout=PATIENCE)
        if process.returncode:
            errors.append(f"rank {rank}: {written.strip()}")
    if errors:
        raise StepscopeError("\n".join(errors))


if __name__ == "__main__":
    watch_example(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
