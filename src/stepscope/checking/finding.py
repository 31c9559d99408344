"""What a rule found, and what all rules together say of a run."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

Phase: TypeAlias = Literal[
    "clear and step", "trained", "schedule", "gradients", "mode", "loss", "data", "state", "ranks"
]
Evidence: TypeAlias = Literal["proof", "strong", "hint"]
Severity: TypeAlias = Literal["error", "warning", "note"]
#: A fact is a number, a word, or a list of them.
Fact: TypeAlias = float | int | bool | str | list[str] | list[float] | None

#: From the strongest to the weakest.
EVIDENCES: tuple[Evidence, ...] = ("proof", "strong", "hint")
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is silently wrong.

    ``evidence`` says how sure that is, ``severity`` how bad. ``update`` is the first update that
    shows it (0: before any), ``facts`` are the numbers behind ``message``. ``remedy`` is a small
    diff: lines that begin with ``-``, ``+`` or a space; ``{line}`` stands for the source line.
    """

    rule: str
    phase: Phase
    severity: Severity
    evidence: Evidence
    message: str
    path: str | None
    line: int
    update: int
    rank: int = 0
    facts: dict[str, Fact] = {}
    remedy: str = ""

    @property
    def counts(self) -> bool:
        """Whether it makes the check fail: bad enough, and sure enough."""
        return self.severity != "note" and self.evidence != "hint"


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What the rules say of a run.

    ``unjudged`` gives, for each rule that had nothing to judge, the reason; ``defects``, for each
    rule that failed, how. ``updates`` and ``rounds`` (of backward) say how much was seen.
    """

    updates: int
    rounds: int
    findings: list[Finding] = []
    unjudged: dict[str, str] = {}
    defects: dict[str, str] = {}
