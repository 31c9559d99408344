"""The essentials, also run against the built wheel."""

from __future__ import annotations

import json

import pytest

import stepscope

pytestmark = pytest.mark.smoke

SCRIPT = """
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


def test_help_is_there_without_torch(python):
    code = "import sys; from stepscope.cli import cli; cli(['--help'], standalone_mode=False); assert 'torch' not in sys.modules"
    done = python("-c", code)
    assert done.returncode == 0, done.stderr
    assert "stepscope trace train.py" in done.stdout


def test_trace_show_and_load(script, stepscope_cli, tmp_path):
    path = script(SCRIPT)
    done = stepscope_cli("trace", "--record", tmp_path / "rec", path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("trained\n")
    assert "w_new = w - lr * g" in done.stdout
    shown = stepscope_cli("show", tmp_path / "rec", "--format", "json")
    assert json.loads(shown.stdout)["updates"] == 3
    run = stepscope.load(tmp_path / "rec")
    assert [update.kind for update in run.updates] == ["step"] * 3


def test_check_rules_and_explain(script, stepscope_cli):
    done = stepscope_cli("check", "--format", "json", script(SCRIPT.replace("    optimizer.zero_grad()\n", "")))
    assert done.returncode == 1, done.stderr
    assert "stale-gradients" in [finding["rule"] for finding in json.loads(done.stdout)["findings"]]
    assert "stale-gradients" in stepscope_cli("rules").stdout
    assert "Why it hurts" in stepscope_cli("explain", "stale-gradients").stdout


def test_demo_runs(stepscope_cli):
    done = stepscope_cli("demo", "regression")
    assert done.returncode == 0, done.stderr
    assert "loss before the step 44.0234, after it 6.3077" in done.stdout
