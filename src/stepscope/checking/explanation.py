"""What a rule says of itself: its docstring in parts, and the code of its examples."""

from __future__ import annotations

import inspect
from textwrap import dedent
from typing import TYPE_CHECKING

import msgspec

from stepscope.checking.finding import Evidence, Phase, Severity

if TYPE_CHECKING:
    from collections.abc import Callable

    from stepscope.checking.rule import RuleModule

_SECTIONS = {
    "What it sees:": "sees",
    "Why it hurts:": "hurts",
    "What to do:": "cure",
    "When to ignore it:": "ignore",
}


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """A rule, explained. ``evidence`` is the strongest it may claim; ``bad`` and ``good`` are programs."""

    rule: str
    phase: Phase
    evidence: Evidence
    severity: Severity
    summary: str
    sees: str = ""
    hurts: str = ""
    cure: str = ""
    ignore: str = ""
    more: str = ""
    bad: str = ""
    good: str = ""


def explain(name: str, module: RuleModule) -> Explanation:
    """Read what the rule ``name`` says of itself."""
    summary, *rest = _paragraphs(module.__doc__ or "")
    parts: dict[str, str] = {}
    last = "more"
    for text in rest:
        head = next((head for head in _SECTIONS if text.startswith(head)), "")
        last = _SECTIONS[head] if head else "more" if text.startswith(("See", "Source")) else last
        said = text.removeprefix(head).strip()
        parts[last] = f"{parts[last]}\n\n{said}" if last in parts else said[:1].upper() + said[1:]
    return Explanation(
        rule=name,
        phase=module.RULE.phase,
        evidence=module.RULE.evidence,
        severity=module.RULE.severity,
        summary=summary,
        bad=_program(module.bad),
        good=_program(module.good),
        **parts,
    )


def _paragraphs(text: str) -> list[str]:
    """The paragraphs of a docstring, each on one line, with code marked as in Markdown."""
    return [" ".join(part.split()).replace("``", "`") for part in inspect.cleandoc(text).split("\n\n")]


def _program(function: Callable[[], None]) -> str:
    """The body of a function as a program of its own."""
    lines = inspect.getsource(function).splitlines()
    body = next(at for at, line in enumerate(lines) if line.startswith("def ")) + 1
    return dedent("\n".join(lines[body:])).strip("\n") + "\n"
