"""Comments in the user's source that wave findings off: ``# stepscope: ignore[rule, rule]``."""

from __future__ import annotations

import re
import tokenize
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from stepscope.checking.finding import Finding

_COMMENT = re.compile(r"#\s*stepscope:\s*ignore(?P<rules>\s*\[[^\]]*\]?)?(?![\w-])")


@dataclass(frozen=True)
class Comment:
    """A comment that waves findings off: of ``rules``, or of all where there are none.

    It stands on ``line``; where it ends a statement it holds for all of its lines, from ``first``. One that names
    no rule in its brackets, or does not close them, holds for nothing.
    """

    line: int
    first: int
    rules: tuple[str, ...] = ()
    is_closed: bool = True

    def covers(self, finding: Finding) -> bool:
        """Whether it waves this finding off."""
        here = self.first <= finding.line <= self.line
        return here and self.is_closed and (not self.rules or finding.rule in self.rules)


@dataclass
class Waved:
    """Findings that are left, and those that were waved off."""

    left: list[Finding] = field(default_factory=list)
    suppressed: list[Finding] = field(default_factory=list)


def comments_in(path: str) -> list[Comment]:
    """The comments in a file, in order; none where it cannot be read as Python."""
    comments: list[Comment] = []
    try:
        with tokenize.open(path) as file:
            comments.extend(_read(tokenize.generate_tokens(file.readline)))
    except (OSError, SyntaxError, UnicodeError, ValueError, tokenize.TokenError):
        pass  # what was read up to there holds
    return comments


def _read(tokens: Iterable[tokenize.TokenInfo]) -> Iterator[Comment]:
    """Tokens, not text: what looks like a comment inside a string is none."""
    first: int | None = None  # of the statement that is being read
    for token, following in pairwise(tokens):
        if token.type == tokenize.NEWLINE:
            first = None
        elif token.type == tokenize.COMMENT:
            found = _COMMENT.search(token.string)
            if found is not None:
                line = token.start[0]
                ends_statement = following.type == tokenize.NEWLINE
                yield _comment(found["rules"], line, first or line if ends_statement else line)
        elif first is None and token.type not in {tokenize.NL, tokenize.INDENT, tokenize.DEDENT}:
            first = token.start[0]


def _comment(listed: str | None, line: int, first: int) -> Comment:
    if listed is None:
        return Comment(line, first)
    names = tuple(name for name in re.split(r"[\s,\[\]]+", listed) if name)
    return Comment(line, first, names, is_closed=bool(names) and listed.endswith("]"))


def wave_off(findings: Iterable[Finding], comments: dict[str, list[Comment]]) -> Waved:
    """Part ``findings`` by the comments of each file."""
    waved = Waved()
    for finding in findings:
        covered = any(comment.covers(finding) for comment in comments.get(finding.path or "", ()))
        (waved.suppressed if covered else waved.left).append(finding)
    return waved
