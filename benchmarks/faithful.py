"""Scripts that do not notice that they are watched

Every script of ``benchmarks/bugs`` (those of one rank) runs bare and watched, as a process of its
own; compared are the exit code and all that it printed on standard output, losses included. A
record with a ``defect`` event counts as a difference. ``--quick`` takes every tenth script.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

CORPUS = Path(__file__).parent / "bugs"


def run(*, quick: bool) -> None:
    """Print the scripts that differ, and how many there were."""
    scripts = [path for folder in ("buggy", "correct") for path in _scripts(CORPUS / folder)][:: 10 if quick else 1]
    different = [(path, why) for path in scripts if (why := _difference(path))]
    for path, why in different:
        print(f"- `{path.relative_to(CORPUS)}`: {why}")
    print(f"\n{len(scripts)} scripts, {len(different)} of them differ when watched", flush=True)


def _scripts(folder: Path) -> list[Path]:
    index = json.loads((folder / "INDEX.json").read_text(encoding="utf-8"))
    return [folder / entry["script"] for entry in index if entry["ranks"] == 1]


def _difference(script: Path) -> str:
    """What differs between the script bare and watched; empty where nothing does."""
    with tempfile.TemporaryDirectory() as folder:
        record = Path(folder) / "record"
        bare = _run([sys.executable, script], Path(folder) / "bare")
        watched = _run(
            [sys.executable, "-m", "stepscope", "trace", "--no-report", "--record", record, script],
            Path(folder) / "watched",
        )
        if bare.returncode != watched.returncode:
            return f"exit code {bare.returncode} became {watched.returncode}"
        if bare.stdout != watched.stdout:
            return "standard output differs"
        events = record / "events-rank0.jsonl"
        if events.exists() and '"event":"defect"' in events.read_text(encoding="utf-8"):
            return "a part of stepscope failed"
    return ""


def _run(command: list[str | Path], folder: Path) -> subprocess.CompletedProcess[str]:
    folder.mkdir()
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}
    return subprocess.run(
        list(map(str, command)), cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
