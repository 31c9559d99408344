"""Findings as Markdown, for comments on pull requests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepscope.render.findings import words
from stepscope.render.findings.source import excerpt, remedy_lines
from stepscope.render.markdown import code, text, verbatim

if TYPE_CHECKING:
    from stepscope.checking.finding import Finding
    from stepscope.checking.outcome import Outcome


def render(outcome: Outcome) -> str:
    """A section per finding; what had nothing to judge is folded away at the end."""
    lines = [f"## stepscope check: {text(outcome.script)}", "", f"**{text(words.summary(outcome))}**", ""]
    for finding in outcome.verdict.findings:
        lines += _finding(outcome, finding)
    lines += [f"- {text(aside)}" for aside in words.asides(outcome)]
    reasons = words.unjudged(outcome)
    if reasons:
        lines += ["<details>", f"<summary>{len(outcome.verdict.unjudged)} rules had nothing to judge</summary>", ""]
        lines += [f"- {text(reason)}: {', '.join(map(code, names))}" for reason, names in reasons]
        lines += ["", "</details>", ""]
    return "\n".join(lines)


def _finding(outcome: Outcome, finding: Finding) -> list[str]:
    explanation = outcome.explanations.get(finding.rule)
    lines = [f"### {finding.severity}: {code(finding.rule)} ({finding.evidence})", ""]
    place = words.where(outcome, finding)
    lines += [f"{code(place)}, {words.when(finding)}" if place else words.when(finding), ""]
    lines += [text(finding.message, words.MESSAGE), ""]
    shown = excerpt(finding.path, finding.line)
    if shown:
        marks = {True: ">", False: " "}
        wide = len(str(shown[-1][0]))
        lines += ["```text"]
        lines += [
            f"{marks[number == finding.line]} {number:>{wide}} | {verbatim(line)}".rstrip() for number, line in shown
        ]
        lines += ["```", ""]
    if explanation is not None and explanation.hurts:
        lines += [explanation.hurts, ""]
    remedy = remedy_lines(finding.remedy, finding.path, finding.line)
    if remedy:
        lines += ["```diff", *(verbatim(line) for line in remedy), "```", ""]
    elif explanation is not None:
        lines += [explanation.cure, ""]
    return lines
