"""How fast the command line starts

Whole processes, medians. The budget of ``stepscope --help`` is 0.15 s, and no import of torch.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time


def run(*, quick: bool) -> None:
    """Print a row per command."""
    print("| command | median | beside it |")
    print("| --- | ---: | --- |")
    times = 5 if quick else 15
    bare = _median([sys.executable, "-c", "pass"], times)
    own = _median([sys.executable, "-m", "stepscope", "--help"], times)
    check = _median([sys.executable, "-m", "stepscope", "check", "--help"], times)
    importing = _median([sys.executable, "-c", "import stepscope"], times)
    print(f"| `stepscope --help` | {own:.3f} s | Python alone {bare:.3f} s |")
    print(f"| `stepscope check --help` | {check:.3f} s | Python alone {bare:.3f} s |")
    print(f"| `import stepscope` | {importing:.3f} s | Python alone {bare:.3f} s |")


def _median(command: list[str], times: int) -> float:
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)
