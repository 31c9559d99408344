"""Asking the rules."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepscope.checking.finding import EVIDENCES, SEVERITIES, Finding, Verdict
from stepscope.checking.rule import NothingToJudge, as_finding
from stepscope.record.events import Defect

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stepscope.checking.rule import RuleModule
    from stepscope.record.run import Run


#: What no rule can do without: where one of these parts of the watch has failed, silence and findings mean nothing.
_NEEDED = frozenset({"backward", "optimizer", "modules"})


def judge(run: Run, rules: Mapping[str, RuleModule]) -> Verdict:
    """Ask each of ``rules`` about ``run``. A rule that fails is told of and silences no other."""
    failed = sorted({d.part for d in run.main.of(Defect)} & _NEEDED)
    if failed:
        reason = f"a part of stepscope failed ({', '.join(failed)})"
        return _verdict(run, [], dict.fromkeys(rules, reason), {})
    findings: list[Finding] = []
    unjudged: dict[str, str] = {}
    defects: dict[str, str] = {}
    for name, module in rules.items():
        try:
            findings += [as_finding(name, module.RULE, what) for what in module.check(run)]
        except NothingToJudge as nothing:
            unjudged[name] = str(nothing)
        except Exception as error:  # noqa: BLE001  # a defect of one rule must not hide what the others found
            defects[name] = f"{type(error).__name__}: {error}"
    return _verdict(run, findings, unjudged, defects)


def _verdict(run: Run, findings: list[Finding], unjudged: dict[str, str], defects: dict[str, str]) -> Verdict:
    return Verdict(
        updates=run.main.update_count,
        rounds=run.main.round_count,
        findings=sorted(findings, key=_order),
        unjudged=unjudged,
        defects=defects,
    )


def _order(finding: Finding) -> tuple[int, int, str, int, str]:
    return (
        SEVERITIES.index(finding.severity),
        EVIDENCES.index(finding.evidence),
        finding.path or "",
        finding.line,
        finding.rule,
    )
