"""How well the demo's models do

Validation accuracy on scikit-learn's digits over five fixed splits (seeds 0 to 4): SGD at rate
0.1, batches of 64, 30 epochs, as ``stepscope demo`` trains them. The aim is a median of at least
93 % for the linear classifier and 95 % with the hidden layer.
"""

from __future__ import annotations

import re
import statistics
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[1] / "src" / "stepscope" / "demos" / "digits.py"


def run(*, quick: bool) -> None:
    """Print a row per model."""
    del quick
    print("| model | seeds 0 to 4 | median |")
    print("| --- | --- | ---: |")
    for name, hidden in (("linear", 0), ("one hidden ReLU layer of 64", 64)):
        found = [accuracy(hidden, seed) for seed in range(5)]
        print(f"| {name} | {', '.join(f'{a:.2f} %' for a in found)} | {statistics.median(found):.2f} % |", flush=True)


def accuracy(hidden: int, seed: int) -> float:
    """Validation accuracy in percent after a whole training."""
    done = subprocess.run(
        [sys.executable, SCRIPT, "--hidden", str(hidden), "--seed", str(seed)],
        check=True,
        capture_output=True,
        text=True,
    )
    found = re.search(r"validation accuracy ([\d.]+) %", done.stdout)
    assert found is not None
    return float(found.group(1))
