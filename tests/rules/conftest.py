"""Rules asked about little scripts that are run as ``check`` runs them."""

from __future__ import annotations

import textwrap
from types import SimpleNamespace

import pytest

from stepscope import rules
from stepscope.checking.engine import judge
from stepscope.observe import frames
from stepscope.observe.schedule import Plan
from stepscope.observe.watch import Watch

#: What all scripts begin with: data, and a loop to call.
HEAD = """
import copy
import torch
from torch import nn
torch.manual_seed(0)
X = torch.randn(96, 4)
Y = (X[:, 0] > 0).long()
def fit(model, optimizer, forward=None, updates=6):
    for index in torch.randperm(96).split(96 // updates):
        model.zero_grad()
        loss = nn.functional.cross_entropy((forward or model)(X[index]), Y[index])
        loss.backward()
        optimizer.step()
def mlp():
    return nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 2))
def sgd(parameters, lr=0.05):
    return torch.optim.SGD(parameters, lr=lr)
"""


@pytest.fixture
def judged(tmp_path, monkeypatch):
    """Run a script watched as ``check`` does; return what some rules find, and the line that is marked ``# here``."""

    def run(asked, body):
        monkeypatch.setattr(frames, "_kinds", {})
        text = HEAD + textwrap.dedent(body)
        path = tmp_path / "script.py"
        path.write_text(text, encoding="utf-8")
        with Watch(tmp_path / "record", Plan(thorough=200)) as watched:
            names = {"__name__": "__main__"}
            try:
                exec(compile(text, str(path), "exec"), names)  # noqa: S102
            except SystemExit:  # as ``check`` stops a script
                watched.stop("stopped")
        verdict = judge(watched.run, {name: rules.get(name) for name in asked})
        assert verdict.defects == {}
        assert not [event for event in watched.run.main.events if type(event).__name__ == "Defect"]
        marked = [number for number, line in enumerate(text.splitlines(), 1) if "# here" in line]
        return SimpleNamespace(
            found=[(f.rule, f.evidence, f.line) for f in verdict.findings],
            messages=[f.message for f in verdict.findings],
            facts=[f.facts for f in verdict.findings],
            line=marked[0] if marked else 0,
            unjudged=verdict.unjudged,
        )

    return run
