"""Where a record goes, which rank this is, and what the code's version is."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
import time
from pathlib import Path

RUNS = Path(".stepscope") / "runs"
#: Where records go when the working directory cannot be written.
FALLBACK = Path(tempfile.gettempdir()) / "stepscope-runs"


def rank() -> tuple[int, int]:
    """This process's rank and how many there are, as ``torchrun`` tells; ``(0, 1)`` alone."""
    try:
        return int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    except ValueError:
        return 0, 1


def folder_for(wanted: Path | None, script: str | None) -> Path:
    """A folder for the record: as wanted, or a new one that all ranks of a launch agree on."""
    if wanted is not None:
        return wanted.absolute()
    stem = re.sub(r"[^\w.-]+", "-", Path(script).stem if script else "run").strip("-.") or "run"
    root = _runs_root()
    if "TORCHELASTIC_RUN_ID" in os.environ:
        # The ranks of one node share their parent, the agent: its start names the run for all.
        parent = os.getppid()
        began = time.strftime("%Y%m%d-%H%M%S", time.localtime(_started(parent)))
        restart = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
        suffix = f"-r{restart}" if restart != "0" else ""
        return root / f"{stem[:80]}-{began}-{parent}{suffix}"
    name = f"{stem[:80]}-{time.strftime('%Y%m%d-%H%M%S')}"
    for number in range(1, 1000):
        folder = root / (name if number == 1 else f"{name}-{number}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError:
            return folder  # the writer will say why
        return folder
    return root / f"{name}-{os.getpid()}"


def _runs_root() -> Path:
    """``.stepscope/runs`` here; below the temporary directory where here cannot be written."""
    root = Path.cwd() / RUNS
    try:
        root.mkdir(parents=True, exist_ok=True)
        ignore = root.parent / ".gitignore"
        if not ignore.exists():
            ignore.write_text("*\n")
        if os.access(root, os.W_OK):
            return root
    except OSError:
        pass
    return FALLBACK


def _started(process: int) -> float:
    """When a process began, in seconds since 1970."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        boot = next(line for line in Path("/proc/stat").read_text().splitlines() if line.startswith("btime"))
        return int(boot.split()[1]) + int(fields[19]) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, StopIteration):
        return time.time() // 86400 * 86400  # elsewhere: the day, and the process number, must do


def git_state() -> tuple[str | None, bool | None]:
    """The commit checked out here and whether files differ from it; None where git does not say."""
    try:
        out = subprocess.run(
            ["git", "status", "--porcelain=v2", "--branch", "--untracked-files=no"],  # noqa: S607  # git is found as users find it
            capture_output=True,
            text=True,
            timeout=2,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None, None
    if out.returncode:
        return None, None
    lines = out.stdout.splitlines()
    commit = next((line.split()[-1] for line in lines if line.startswith("# branch.oid")), None)
    return commit if commit != "(initial)" else None, any(not line.startswith("#") for line in lines)
