"""Findings as SARIF 2.1.0, as GitHub code scanning takes it."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec

from stepscope.record.store import to_json
from stepscope.render.findings import words
from stepscope.render.findings.source import code_of, excerpt, line_of
from stepscope.render.text import clean
from stepscope.version import __version__

if TYPE_CHECKING:
    from stepscope.checking.explanation import Explanation
    from stepscope.checking.finding import Finding
    from stepscope.checking.outcome import Outcome

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_BASE = "SRCROOT"
#: Code scanning takes no more characters than this.
_MOST_DESCRIBED = 1024
#: How sure a rule is, in the words of code scanning.
_PRECISION = {"proof": "very-high", "strong": "high", "hint": "medium"}
_PROBLEM = {"error": "error", "warning": "warning", "note": "recommendation"}


def render(outcome: Outcome) -> str:
    """One SARIF run with every finding; what a comment waves off is in it, as suppressed."""
    explanations = list(outcome.explanations.values())
    places = {explanation.rule: at for at, explanation in enumerate(explanations)}
    seen: Counter[str] = Counter()
    results = [_result(outcome, finding, places, seen) for finding in outcome.verdict.findings]
    results += [
        {**_result(outcome, finding, places, seen), "suppressions": [{"kind": "inSource"}]}
        for finding in outcome.suppressed
    ]
    run = {
        "tool": {
            "driver": {
                "name": "stepscope",
                "version": __version__,
                "semanticVersion": __version__,
                "rules": [_rule(explanation) for explanation in explanations],
            }
        },
        "invocations": [
            {
                "executionSuccessful": outcome.ended != "failed",
                "toolExecutionNotifications": [
                    {"level": "warning", "message": {"text": clean(text, words.MESSAGE)}}
                    for text in (*words.asides(outcome), *([words.summary(outcome)] if outcome.is_empty else []))
                ],
            }
        ],
        "originalUriBaseIds": {_BASE: {"uri": Path(outcome.root).as_uri().rstrip("/") + "/"}},
        "columnKind": "unicodeCodePoints",
        "results": results,
        "properties": {"updates": outcome.verdict.updates, "unjudged": outcome.verdict.unjudged},
    }
    log = {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}
    return msgspec.json.format(to_json(log), indent=2).decode() + "\n"


def _rule(explanation: Explanation) -> dict[str, Any]:
    parts = {
        "What it sees": explanation.sees,
        "Why it hurts": explanation.hurts,
        "What to do": explanation.cure,
        "When to ignore it": explanation.ignore,
    }
    prose = [explanation.summary, *(f"{head}: {text}" for head, text in parts.items() if text)]
    marked = [explanation.summary, *(f"**{head}:** {text}" for head, text in parts.items() if text)]
    if explanation.bad:
        marked.append(f"Bad:\n\n```python\n{explanation.bad}```")
        marked.append(f"Good:\n\n```python\n{explanation.good}```")
    return {
        "id": explanation.rule,
        "name": "".join(word.capitalize() for word in explanation.rule.split("-")),
        "shortDescription": {"text": explanation.summary},
        "fullDescription": {"text": clean(f"{explanation.summary} {explanation.hurts}".strip(), _MOST_DESCRIBED)},
        "help": {"text": "\n\n".join(prose), "markdown": "\n\n".join(marked)},
        "defaultConfiguration": {"level": explanation.severity},
        "properties": {
            "tags": ["pytorch", "training", explanation.phase],
            "precision": _PRECISION[explanation.evidence],
            "problem.severity": _PROBLEM[explanation.severity],
        },
    }


def _result(outcome: Outcome, finding: Finding, places: dict[str, int], seen: Counter[str]) -> dict[str, Any]:
    message = clean(finding.message, words.MESSAGE)
    result: dict[str, Any] = {
        "ruleId": finding.rule,
        "level": outcome.level(finding),
        "message": {"text": f"{message} ({finding.evidence}, {words.when(finding)})"},
        "locations": [{"physicalLocation": _place(outcome, finding)}],
        "partialFingerprints": {"primaryLocationLineHash": _fingerprint(outcome, finding, seen)},
        "properties": {
            "evidence": finding.evidence,
            "severity": finding.severity,
            "phase": finding.phase,
            "update": finding.update,
        },
    }
    if finding.rule in places:
        result["ruleIndex"] = places[finding.rule]
    return result


def _place(outcome: Outcome, finding: Finding) -> dict[str, Any]:
    """Code scanning refuses a result without a place: the script stands for one that is not known."""
    path = finding.path or outcome.path
    relative = outcome.relative_path(path)
    location = {"uri": _quoted(relative), "uriBaseId": _BASE} if relative else {"uri": f"file://{_quoted(path)}"}
    region: dict[str, Any] = {"startLine": max(finding.line, 1)}
    for number, text in excerpt(finding.path, finding.line):
        if number == finding.line and text.strip():
            begins, ends = code_of(text)
            region |= {"startColumn": begins + 1, "endColumn": ends + 1, "snippet": {"text": clean(text, 400)}}
    return {"artifactLocation": location, "region": region}


def _quoted(path: str) -> str:
    return quote(path.encode("utf-8", "surrogateescape"))


def _fingerprint(outcome: Outcome, finding: Finding, seen: Counter[str]) -> str:
    """The same for the same finding after lines were added above it; a number tells equal ones apart."""
    own = line_of(finding.path, finding.line) or str(finding.line)
    what = "\0".join((finding.rule, outcome.shown_path(finding.path), own))
    digest = hashlib.sha256(what.encode("utf-8", "backslashreplace")).hexdigest()[:16]
    seen[digest] += 1
    return f"{digest}:{seen[digest]}"
