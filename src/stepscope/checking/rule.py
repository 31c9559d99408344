"""What a rule is made of, and the words it finds with.

A rule is a module in :mod:`stepscope.rules` with a docstring in sections, a :class:`Rule`, a
``check(run)`` that yields what it :func:`found`, and the functions ``bad()`` and ``good()``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from stepscope.checking.finding import EVIDENCES, Evidence, Fact, Finding, Phase, Severity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepscope.record.run import Run


@dataclass(frozen=True)
class Rule:
    """What holds for all findings of a rule.

    ``evidence`` is the strongest that it may claim; ``processes`` how many ranks its examples need.
    """

    phase: Phase
    evidence: Evidence
    severity: Severity = "error"
    processes: int = 1


class Place(Protocol):
    """Anything that knows its line of the user's code: an event, a layer, a loss, an operation."""

    @property
    def file(self) -> str | None:
        """The user's file."""

    @property
    def line(self) -> int:
        """The line in it, from 1."""


@dataclass(frozen=True)
class Found:
    """A finding that does not know its rule yet; None: as the rule says."""

    path: str | None
    line: int
    update: int
    message: str
    facts: dict[str, Fact] = field(default_factory=dict)
    remedy: str = ""
    evidence: Evidence | None = None
    severity: Severity | None = None
    rank: int = 0


def found(  # noqa: PLR0913  # a finding has as many parts as it has
    at: Place | tuple[str | None, int],
    update: int,
    message: str,
    *,
    facts: dict[str, Fact] | None = None,
    remedy: str = "",
    evidence: Evidence | None = None,
    severity: Severity | None = None,
    rank: int = 0,
) -> Found:
    """What a rule yields: where, the first update that shows it, and what was seen, in numbers."""
    path, line = at if isinstance(at, tuple) else (at.file, at.line)
    return Found(path, line, update, message, facts or {}, remedy, evidence, severity, rank)


class NothingToJudge(Exception):  # noqa: N818  # no error: a rule's way to say that it cannot speak
    """Raised by ``check`` where the run has nothing that this rule could judge; says what is missing."""


class RuleModule(Protocol):
    """A module of :mod:`stepscope.rules`."""

    __name__: str
    __doc__: str | None
    __file__: str | None
    RULE: Rule

    def check(self, run: Run) -> Iterator[Found]:
        """Judge a run."""

    def bad(self) -> None:
        """A tiny loop in which this rule finds something, on the line marked ``# fires``."""

    def good(self) -> None:
        """The same loop, mended: no rule finds anything."""


def as_finding(name: str, rule: Rule, what: Found) -> Finding:
    """The finding, with the name and the defaults of its rule."""
    evidence = what.evidence or rule.evidence
    if EVIDENCES.index(evidence) < EVIDENCES.index(rule.evidence):
        raise ValueError(f"{name} may claim {rule.evidence} at most, not {evidence}")
    return Finding(
        rule=name,
        phase=rule.phase,
        severity=what.severity or rule.severity,
        evidence=evidence,
        message=what.message,
        path=what.path,
        line=what.line,
        update=what.update,
        rank=what.rank,
        facts=what.facts,
        remedy=what.remedy,
    )
