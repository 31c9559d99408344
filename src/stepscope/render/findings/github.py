"""Findings as workflow commands of GitHub Actions: annotations on the lines of a pull request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepscope.render.findings import words
from stepscope.render.findings.source import remedy_lines
from stepscope.render.text import clean

if TYPE_CHECKING:
    from stepscope.checking.finding import Finding
    from stepscope.checking.outcome import Outcome

_COMMANDS = {"error": "error", "warning": "warning", "note": "notice"}


def render(outcome: Outcome) -> str:
    """A command per finding, then a line that says what was found in all."""
    lines = [_command(outcome, finding) for finding in outcome.verdict.findings]
    lines += [f"::warning title=stepscope::{_data(aside)}" for aside in words.asides(outcome)]
    if outcome.is_empty:
        lines.append(f"::warning title=stepscope::{_data(words.summary(outcome))}")
    else:
        lines.append(f"stepscope: {words.summary(outcome)}")
    return "\n".join(lines) + "\n"


def _command(outcome: Outcome, finding: Finding) -> str:
    place = {"title": f"{clean(finding.rule)} ({finding.evidence})"}
    if finding.path is not None:
        line = max(finding.line, 1)
        path = clean(outcome.shown_path(finding.path), words.PATH)
        place = {"file": path, "line": str(line), "endLine": str(line), **place}
    properties = ",".join(f"{name}={_property(value)}" for name, value in place.items())
    remedy = [clean(line) for line in remedy_lines(finding.remedy, finding.path, finding.line)]
    told = [f"{clean(finding.message, words.MESSAGE)} ({words.when(finding)})", *remedy]
    return f"::{_COMMANDS[outcome.level(finding)]} {properties}::{_data(chr(10).join(told))}"


def _data(text: str) -> str:
    """Text that stays inside its command."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    """Text that stays inside its property."""
    return _data(text).replace(":", "%3A").replace(",", "%2C")
