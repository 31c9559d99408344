"""What the rules say of themselves: all in a table, or one in full."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

import msgspec
from rich.box import ASCII2, SIMPLE_HEAD
from rich.padding import Padding
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from stepscope.render.console import ENDLESS, paint
from stepscope.render.markdown import code

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType

    from stepscope.checking.explanation import Explanation

_HEAD = ("rule", "phase", "evidence", "severity", "what it finds")
_SECTIONS = {
    "sees": "What it sees",
    "hurts": "Why it hurts",
    "cure": "What to do",
    "ignore": "When to ignore it",
    "more": "More",
}
_EVIDENCE = {"proof": "proof (it cannot be otherwise)", "strong": "strong", "hint": "hint"}


def as_json(explanations: Sequence[Explanation]) -> str:
    """All that the rules say, as JSON."""
    return msgspec.json.format(msgspec.json.encode({"schema": 1, "rules": explanations}), indent=2).decode() + "\n"


def table(explanations: Sequence[Explanation], *, width: int, color: bool, unicode: bool) -> str:
    """A row per rule, phase by phase, for a terminal."""
    grid = Table(box=SIMPLE_HEAD if unicode else ASCII2, pad_edge=False, header_style="bold")
    for name in ("rule", "evidence", "severity"):
        grid.add_column(name, no_wrap=True)
    grid.add_column(_HEAD[-1], overflow="fold")
    for phase, rules in groupby(explanations, key=lambda one: one.phase):
        grid.add_section()
        grid.add_row(Text(phase, style="bold"), "", "", "")
        for rule in rules:
            grid.add_row(Text(f"  {rule.rule}", style="cyan"), rule.evidence, rule.severity, Text(rule.summary))
    end = Text(f"{len(explanations)} rules. One in full: stepscope explain RULE", style="dim")
    return paint([grid, end], width=width, color=color, unicode=unicode)


def markdown_table(explanations: Sequence[Explanation]) -> str:
    """A row per rule as Markdown."""
    lines = [f"| {' | '.join(_HEAD)} |", "|" + " --- |" * len(_HEAD)]
    lines += [
        f"| {' | '.join((code(one.rule), one.phase, one.evidence, one.severity, _cell(one.summary)))} |"
        for one in explanations
    ]
    return "\n".join(lines) + "\n"


def _cell(said: str) -> str:
    return said.replace("|", "\\|")


def page(one: Explanation, *, width: int, color: bool, unicode: bool) -> str:
    """A rule in full, for a terminal."""
    rule = ("\u2500" if unicode else "-") * max(width - len(one.rule) - 1, 3)
    parts: list[RenderableType] = [
        Text(f"{one.rule} {rule}", style="bold"),
        Text(f"phase: {one.phase}; severity: {one.severity}; evidence at most: {_EVIDENCE[one.evidence]}", "dim"),
        Text(),
        Text(one.summary),
    ]
    for name, head in _SECTIONS.items():
        said = getattr(one, name)
        if said:
            parts += [Text(), Text(head, style="bold"), *(Padding(Text(p), (0, 0, 0, 2)) for p in said.split("\n\n"))]
    shown = paint(parts, width=width, color=color, unicode=unicode)
    for head, program in (("Bad (the marked line is the one that is named)", one.bad), ("Good", one.good)):
        lines: list[RenderableType] = [Text(head, style="bold"), Padding(_code(program, color=color), (0, 0, 0, 2))]
        shown += "\n" + paint(lines, width=ENDLESS, color=color, unicode=unicode)
    return shown


def _code(program: str, *, color: bool) -> RenderableType:
    if color:
        return Syntax(program.rstrip("\n"), "python", theme="ansi_dark", background_color="default")
    return Text(program.rstrip("\n"))


def markdown_page(one: Explanation) -> str:
    """A rule in full as Markdown."""
    lines = [f"## {one.rule}", "", f"{one.phase}; {one.severity}; evidence at most {one.evidence}.", ""]
    lines += [one.summary, ""]
    for name, head in _SECTIONS.items():
        said = getattr(one, name)
        if said:
            lines += [f"**{head}.** {said}", ""]
    lines += ["Bad:", "", "```python", one.bad.rstrip("\n"), "```", ""]
    lines += ["Good:", "", "```python", one.good.rstrip("\n"), "```", ""]
    return "\n".join(lines)
