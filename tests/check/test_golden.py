"""Whole reports at a fixed width."""

from __future__ import annotations

import os
import re
from pathlib import Path

import msgspec
import pytest

from stepscope.render.findings import github, json, markdown, sarif, text

GOLDEN = Path(__file__).parent / "golden"

CASES = {
    "wide-80.txt": lambda outcome: text.render(outcome, width=80),
    "narrow-60.txt": lambda outcome: text.render(outcome, width=60),
    "verbose-100.txt": lambda outcome: text.render(outcome, width=100, verbose=True),
    "color-80.txt": lambda outcome: text.render(outcome, width=80, color=True),
    "check.json": json.render,
    "check.sarif": sarif.render,
    "github.txt": github.render,
    "check.md": markdown.render,
}


@pytest.mark.parametrize("name", CASES)
def test_the_whole_report_is_as_kept(name, outcome, project):
    waved_off = msgspec.structs.replace(outcome.verdict.findings[0], update=9)
    outcome = msgspec.structs.replace(outcome, suppressed=[waved_off])
    shown = CASES[name](outcome).replace(str(project), "/project")
    shown = re.sub(r'"(version|semanticVersion)": "\d[^"]*"', r'"\1": "0"', shown)
    shown = re.sub(r"[0-9a-f]{16}:1", "HASH:1", shown)
    path = GOLDEN / name
    if os.environ.get("STEPSCOPE_GOLDEN") == "write":
        path.write_text(shown, encoding="utf-8")
    assert shown == path.read_text(encoding="utf-8")


def test_color_is_the_plain_text_with_codes(outcome):
    colored = text.render(outcome, width=80, color=True)
    stripped = re.sub(r"\x1b\[[0-9;]*m", "", colored)
    assert [line.rstrip() for line in stripped.splitlines()] == text.render(outcome, width=80).splitlines()
    assert "\x1b[1;31merror[stale-gradients]" in colored


def test_the_caret_stands_below_the_code(outcome):
    lines = text.render(outcome, width=80).splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("7 |"))
    assert lines[at].index("loss") == lines[at + 1].index("^")
    assert lines[at + 1].count("^") == len("loss.backward()")


def test_why_it_hurts_is_told_once_for_each_rule(outcome):
    shown = text.render(outcome, width=80)
    assert shown.count("Every step applies the sum") == 1
    assert shown.count("error[stale-gradients]") == 2
