"""One record and a few scripts for all tests of the command line."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

TRAIN = """
import torch
torch.manual_seed(0)
model = torch.nn.Linear(4, 2)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for _ in range(3):
    optimizer.zero_grad()
    loss = torch.nn.functional.cross_entropy(model(torch.randn(8, 4)), torch.randint(0, 2, (8,)))
    loss.backward()
    optimizer.step()
print("trained")
"""


@pytest.fixture(scope="session")
def environ():
    """An environment in which output does not depend on the machine."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "NO_COLOR": "1", "COLUMNS": "80", "PYTHONIOENCODING": "utf-8"}


@pytest.fixture(scope="session")
def recorded(tmp_path_factory, environ):
    """A folder with ``train.py`` and the record of its run, ``rec``."""
    folder = tmp_path_factory.mktemp("cli")
    (folder / "train.py").write_text(TRAIN)
    subprocess.run(
        [sys.executable, "-m", "stepscope", "trace", "--no-report", "--record", "rec", "train.py"],
        cwd=folder,
        env=environ,
        check=True,
        capture_output=True,
    )
    return folder
