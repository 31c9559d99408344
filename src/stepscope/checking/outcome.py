"""A check as a whole: what ran, how it ended, what the rules say, and what the user waved off."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeAlias

import msgspec

from stepscope.checking.explanation import Explanation
from stepscope.checking.finding import Finding, Severity, Verdict

#: How the script ended: by itself, ended by the check, by an exception or a failing exit, by Ctrl-C.
Ending: TypeAlias = Literal["finished", "stopped", "failed", "interrupted"]


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a check came to.

    ``script`` is named as the user named it and lies at ``path``; ``record`` is the folder that the record is in,
    and ``root`` the one that paths are told relative to. ``suppressed`` are findings that a comment
    in the source waves off. ``asked`` are the rules that were asked, ``absent`` the ranks whose
    record has no end. ``explanations`` is there for every rule that found something.
    """

    script: str
    path: str
    record: str
    root: str
    verdict: Verdict
    ended: Ending = "finished"
    message: str = ""
    asked: list[str] = []
    suppressed: list[Finding] = []
    ranks: int = 1
    absent: list[int] = []
    explanations: dict[str, Explanation] = {}

    @property
    def counting(self) -> list[Finding]:
        """The findings that make the check fail."""
        return [finding for finding in self.verdict.findings if finding.counts]

    @property
    def saw_training(self) -> bool:
        """Whether there was an update, or at least a backward, to judge."""
        return bool(self.verdict.updates or self.verdict.rounds)

    @property
    def judged(self) -> int:
        """How many rules had something to judge."""
        return len(self.asked) - len(self.verdict.unjudged) - len(self.verdict.defects)

    @property
    def is_empty(self) -> bool:
        """Whether nothing could be checked: that nothing was found then means nothing."""
        return not self.verdict.findings and not self.suppressed and (not self.verdict.updates or not self.judged)

    def level(self, finding: Finding) -> Severity:
        """How loud to be about a finding where there is but one scale: a hint is a note."""
        return finding.severity if finding.counts else "note"

    def shown_path(self, path: str | None) -> str:
        """A path as the user would write it: relative to :attr:`root` where it lies below."""
        relative = self.relative_path(path)
        return relative if relative is not None else path or ""

    def relative_path(self, path: str | None) -> str | None:
        """A path below :attr:`root`, relative to it, with slashes; None where it lies elsewhere."""
        if path is None:
            return None
        try:
            return Path(path).relative_to(self.root).as_posix()
        except ValueError:
            return None
