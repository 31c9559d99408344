"""Outcomes made by hand for the renderers, and little scripts for the command line."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from stepscope.checking.explanation import Explanation
from stepscope.checking.finding import Finding, Verdict
from stepscope.checking.outcome import Outcome

SOURCE = """\
import torch

model = torch.nn.Linear(4, 2)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for x, y in loader:
\tloss = torch.nn.functional.cross_entropy(model(x).softmax(dim=1), y)  # "训练" and a line that is much wider than the terminal
\tloss.backward()  # the gradient of this batch
\toptimizer.step()
"""

EXPLANATION = Explanation(
    rule="stale-gradients",
    phase="clear and step",
    evidence="proof",
    severity="error",
    summary="Gradients that a step has already applied are applied again by the next one.",
    sees="A backward adds to a gradient that its optimizer has used in an earlier step.",
    hurts="Every step applies the sum of all gradients so far.",
    cure="Clear the gradients once per update, before `backward` or after the step.",
    ignore="Where you keep a running sum of gradients on purpose.",
    bad="loss.backward()  # fires\n",
    good="optimizer.zero_grad()\nloss.backward()\n",
)
SOFTMAX = Explanation(
    rule="double-softmax",
    phase="loss",
    evidence="proof",
    severity="warning",
    summary="A softmax feeds a loss that applies one itself.",
    hurts="The loss cannot fall to zero.",
    cure="Give the loss the logits.",
)


def finding_in(path, **changes):
    values = {
        "rule": "stale-gradients",
        "phase": "clear and step",
        "severity": "error",
        "evidence": "proof",
        "message": "optimizer.step() applies gradients again that it has applied before; so it went in 3 updates",
        "path": path if path is None else str(path),
        "line": 7,
        "update": 2,
        "facts": {"optimizer": "optimizer", "parameters": ["weight", "bias"], "worst_ratio": 3.7123, "updates": 3},
        "remedy": "+ optimizer.zero_grad()\n  {line}",
    }
    return Finding(**(values | changes))


def outcome_of(root, findings, **changes):
    verdict = Verdict(
        updates=200,
        rounds=200,
        findings=findings,
        unjudged={
            "bypassed-ddp": "only one rank was seen",
            "diverged-ranks": "only one rank was seen",
            "train-mode-evaluation": "no evaluation was seen",
        },
    )
    values = {
        "script": "train.py",
        "path": str(root / "train.py"),
        "record": str(root / ".stepscope" / "runs" / "train-20260102-030405"),
        "root": str(root),
        "verdict": verdict,
        "ended": "stopped",
        "asked": ["bypassed-ddp", "diverged-ranks", "double-softmax", "stale-gradients", "train-mode-evaluation"],
        "explanations": {"stale-gradients": EXPLANATION, "double-softmax": SOFTMAX},
    }
    return Outcome(**(values | changes))


@pytest.fixture
def make_finding():
    return finding_in


@pytest.fixture
def make_outcome():
    return outcome_of


@pytest.fixture
def project(tmp_path):
    """A folder that findings point into; its name is the same everywhere, as golden output needs it."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "train.py").write_text(SOURCE, encoding="utf-8")
    return folder


@pytest.fixture
def outcome(project):
    """Three findings: an error in the script, a hint of the same rule, and one in a file that is not there."""
    script = project / "train.py"
    return outcome_of(
        project,
        [
            finding_in(script),
            finding_in(script, line=6, update=1, evidence="hint", facts={}, remedy="", message="A second one."),
            finding_in(
                "/somewhere/else/model.py",
                rule="double-softmax",
                phase="loss",
                severity="warning",
                evidence="strong",
                line=31,
                update=0,
                rank=1,
                facts={"lowest": float("inf"), "sure": True, "nothing": None, "none": []},
                remedy="",
                message="This softmax leaves the loss no lower than 0.31.",
            ),
        ],
    )


STALE = """
import torch
from torch import nn

torch.manual_seed(0)
model = nn.Linear(4, 2)
optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
x, y = torch.randn(64, 4), torch.randint(2, (64,))
for epoch in range({epochs}):
    for start in range(0, 64, 16):
        {clear}
        loss = nn.functional.cross_entropy(model(x[start : start + 16]), y[start : start + 16])
        loss.backward(){comment}
        optimizer.step()
    print("epoch", epoch, flush=True)
"""


@pytest.fixture
def training(tmp_path):
    """Write a script that forgets to clear its gradients (``clear``: that does not) and return its path."""

    def write(*, clear=False, epochs=2, comment="", end="", name="train.py"):
        text = STALE.format(epochs=epochs, comment=comment, clear="optimizer.zero_grad()" if clear else "pass")
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + textwrap.dedent(end), encoding="utf-8")
        return Path(path)

    return write


@pytest.fixture
def check(stepscope_cli):
    """Run ``stepscope check``; no defect of ours may show."""

    def run(*arguments, **options):
        done = stepscope_cli("check", *arguments, **options)
        assert "defect of stepscope" not in done.stderr + done.stdout, done.stderr
        return done

    return run
