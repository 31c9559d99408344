"""Findings as JSON, as ``schema.json`` beside this file describes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from stepscope.record.numbers import to_number
from stepscope.record.store import to_json

if TYPE_CHECKING:
    from stepscope.checking.finding import Fact, Finding
    from stepscope.checking.outcome import Outcome

#: Raised with every change that an older reader would misread.
SCHEMA = 1


def render(outcome: Outcome) -> str:
    """The outcome, indented, with a newline at the end."""
    verdict = outcome.verdict
    document = {
        "schema": SCHEMA,
        "script": outcome.script,
        "record": outcome.record,
        "updates": verdict.updates,
        "rounds": verdict.rounds,
        "ranks": outcome.ranks,
        "ended": {"how": outcome.ended, "message": outcome.message},
        "findings": [_finding(finding) for finding in verdict.findings],
        "suppressed": [_finding(finding) for finding in outcome.suppressed],
        "asked": outcome.asked,
        "unjudged": verdict.unjudged,
        "defects": verdict.defects,
        "absent": outcome.absent,
    }
    return msgspec.json.format(to_json(document), indent=2).decode() + "\n"


def _finding(finding: Finding) -> dict[str, Any]:
    told = {name: getattr(finding, name) for name in finding.__struct_fields__}
    return told | {"facts": {name: _fact(value) for name, value in finding.facts.items()}}


def _fact(value: Fact) -> Any:
    """A fact; a number that JSON lacks stands as its word."""
    if isinstance(value, float):
        return to_number(value)
    return [_fact(item) for item in value] if isinstance(value, list) else value
