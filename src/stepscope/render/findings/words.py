"""Sentences that several renderers say of a check."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from stepscope.checking.words import count, figure, listed
from stepscope.render.text import clean

if TYPE_CHECKING:
    from stepscope.checking.finding import Fact, Finding
    from stepscope.checking.outcome import Outcome

MESSAGE = 1200
PATH = 300
_MOST_REASONS = 4


def kind(finding: Finding) -> str:
    """What a finding counts as: its severity, or a hint."""
    return "hint" if finding.evidence == "hint" else finding.severity


def where(outcome: Outcome, finding: Finding) -> str:
    """File and line of a finding; empty where none is known."""
    if finding.path is None:
        return ""
    return f"{clean(outcome.shown_path(finding.path), PATH)}:{finding.line}"


def when(finding: Finding) -> str:
    """The first update that shows a finding, and the rank, where it is not the first."""
    said = f"first in update {finding.update:,}" if finding.update else "before the first update"
    return said + (f", rank {finding.rank}" if finding.rank else "")


def facts(finding: Finding) -> str:
    """The numbers behind a finding, in a row."""
    told = (f"{clean(name.replace('_', ' '), 60)}: {_fact(value)}" for name, value in finding.facts.items())
    return "; ".join(told)


def _fact(value: Fact) -> str:
    if value is None:
        return "unknown"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (int, float)):
        return figure(value)
    if isinstance(value, str):
        return clean(value)
    return listed([_fact(item) for item in value], 4) or "none"


def summary(outcome: Outcome) -> str:
    """One line: what was found, in how much of what."""
    found = Counter(kind(finding) for finding in outcome.verdict.findings)
    parts = [count(found[name], name) for name in ("error", "warning", "note", "hint") if found[name]]
    if outcome.is_empty:
        return f"{_nothing_seen(outcome)}: nothing could be checked{_ending(outcome)}"
    if parts:
        return f"Found {listed(parts, len(parts))} in {_seen(outcome)}{_waved_off(outcome)}{_ending(outcome)}"
    whole = "All is well: " if outcome.ended in {"finished", "stopped"} else ""
    rest = len(outcome.verdict.unjudged)
    aside = f"; {rest} had nothing to judge (--verbose)" if rest else ""
    judged = count(outcome.judged, "rule")
    return f"{whole}{judged} found nothing in {_seen(outcome)}{_waved_off(outcome)}{aside}{_ending(outcome)}"


def _waved_off(outcome: Outcome) -> str:
    return f" ({len(outcome.suppressed)} suppressed)" if outcome.suppressed else ""


def _nothing_seen(outcome: Outcome) -> str:
    script, verdict = clean(outcome.script, PATH), outcome.verdict
    if verdict.updates:
        return f"No rule had anything to judge in {count(verdict.updates, 'update')} of {script}"
    if verdict.rounds:
        return f"No update was seen in {script}, only {count(verdict.rounds, 'round')} of backward"
    return f"No update was seen in {script}"


def _seen(outcome: Outcome) -> str:
    verdict, script = outcome.verdict, clean(outcome.script, PATH)
    seen = count(verdict.updates, "update") if verdict.updates else f"{count(verdict.rounds, 'round')} of backward"
    return f"{'the first ' if outcome.ended == 'stopped' else ''}{seen} of {script}"


def _ending(outcome: Outcome) -> str:
    if outcome.ended == "failed":
        return f"; the script failed ({clean(outcome.message)})"
    return "; interrupted" if outcome.ended == "interrupted" else ""


def unjudged(outcome: Outcome) -> list[tuple[str, list[str]]]:
    """The reasons why rules had nothing to judge, with those rules, the commonest reason first."""
    reasons: dict[str, list[str]] = defaultdict(list)
    for name, reason in outcome.verdict.unjudged.items():
        reasons[clean(reason)].append(name)
    return sorted(reasons.items(), key=lambda one: (-len(one[1]), one[0]))


def unjudged_briefly(outcome: Outcome) -> str:
    """In a line or two how many rules had nothing to judge, and why; empty where all had."""
    reasons = unjudged(outcome)
    if not reasons:
        return ""
    told = [f"{reason} ({len(names)})" for reason, names in reasons[:_MOST_REASONS]]
    if len(reasons) > _MOST_REASONS:
        told.append(f"{len(reasons) - _MOST_REASONS} other reasons: --verbose")
    return f"{len(outcome.verdict.unjudged)} of {len(outcome.asked)} rules had nothing to judge: {'; '.join(told)}"


def asides(outcome: Outcome) -> list[str]:
    """What else there is to know: rules that failed, ranks that did not end."""
    defects = [
        f"a defect of stepscope: the rule {clean(name)} failed ({clean(error)})"
        for name, error in outcome.verdict.defects.items()
    ]
    ranks = [f"rank {rank} did not end in time; its record is not whole" for rank in outcome.absent]
    return defects + ranks
