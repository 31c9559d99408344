"""The demo's models do as well as the benchmark says: medians over five fixed splits."""

from __future__ import annotations

import re
import runpy
import statistics
import sys
from pathlib import Path

import pytest

import stepscope

SCRIPT = Path(stepscope.__file__).parent / "demos" / "digits.py"


@pytest.mark.slow
@pytest.mark.parametrize(("hidden", "least"), [(0, 93.0), (64, 95.0)])
def test_median_validation_accuracy_over_five_splits(hidden, least, monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    found = []
    for seed in range(5):
        monkeypatch.setattr(sys, "argv", [str(SCRIPT), "--hidden", str(hidden), "--seed", str(seed)])
        runpy.run_path(str(SCRIPT), run_name="__main__")
        match = re.search(r"validation accuracy ([\d.]+) %", capsys.readouterr().out)
        found.append(float(match.group(1)))
    assert statistics.median(found) >= least, found
