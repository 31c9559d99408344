"""Findings in the terminal, as good compilers tell theirs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from stepscope.render.console import ENDLESS, paint
from stepscope.render.findings import words
from stepscope.render.findings.source import code_of, excerpt, remedy_lines
from stepscope.render.text import clean

if TYPE_CHECKING:
    from rich.console import RenderableType

    from stepscope.checking.finding import Finding
    from stepscope.checking.outcome import Outcome

_STYLES = {"error": "bold red", "warning": "bold yellow", "note": "bold cyan", "hint": "bold cyan"}
_DIFF = {"+": "green", "-": "red"}


def render(outcome: Outcome, *, width: int = 80, color: bool = False, verbose: bool = False) -> str:
    """The whole report: every finding, then a summary; a single line where all is well.

    ``verbose`` names the rules that had nothing to judge, and tells what comments wave off.
    """
    shown = outcome.verdict.findings + (outcome.suppressed if verbose else [])
    parts = [part for at, finding in enumerate(shown) for part in _finding(outcome, finding, shown[:at], width)]
    findings = paint(parts, width=width, color=color) + "\n" if parts else ""
    summary = paint([_summary(outcome)], width=ENDLESS, color=color)  # one line, however narrow
    rest = _rest(outcome, verbose=verbose)
    return findings + summary + (paint(rest, width=width, color=color) if rest else "")


def _finding(outcome: Outcome, finding: Finding, told: list[Finding], width: int) -> list[RenderableType]:
    """A finding; why it hurts is told once for each rule."""
    style = _STYLES[words.kind(finding)]
    aside = ", suppressed" if finding in outcome.suppressed else ""
    why = finding.rule not in {other.rule for other in told}
    head = Text(overflow="fold")
    head.append(f"{finding.severity}[{clean(finding.rule)}]", style=style)
    head.append(f" ({finding.evidence}{aside}): ")
    head.append(clean(finding.message, words.MESSAGE), style="bold")
    shown = excerpt(finding.path, finding.line)
    gutter = len(str(shown[-1][0])) if shown else 1
    place = ", ".join(filter(None, (words.where(outcome, finding), words.when(finding))))
    at = Text(overflow="fold").append(" " * gutter + "--> ", style="blue").append(place)
    source = _source(shown, finding.line, gutter, width, style)
    return [head, at, *source, _asides(outcome, finding, gutter, why=why), Text()]


def _source(shown: list[tuple[int, str]], guilty: int, gutter: int, width: int, style: str) -> list[Text]:
    """The lines around the guilty one, and a mark under that."""
    if not shown:
        return []
    room = width - gutter - 3
    bar = Text(" " * (gutter + 1) + "|", style="blue")
    lines = [bar]
    for number, text in shown:
        line = Text(no_wrap=True).append(f"{number:>{gutter}} | ", style="blue")
        code = Text(clean(text, width))
        code.truncate(room)
        lines.append(line.append_text(code))
        if number == guilty:
            begins, ends = code_of(clean(text, 10 * width))
            before, marked = cell_len(text[:begins]), max(cell_len(clean(text, 10 * width)[begins:ends]), 1)
            marks = " " * (before + 1) + "^" * min(marked, max(room - before, 1))
            lines.append(Text(no_wrap=True).append_text(bar).append(marks, style=style))
    return [*lines, bar]


def _asides(outcome: Outcome, finding: Finding, gutter: int, *, why: bool) -> Table:
    """What was seen, why it hurts, what to do, where to read on."""
    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    explanation = outcome.explanations.get(finding.rule)
    remedy = remedy_lines(finding.remedy, finding.path, finding.line)
    rows: list[tuple[str, Text]] = [("seen", Text(words.facts(finding)))]
    if explanation is not None and why:
        rows.append(("why", Text(clean(explanation.hurts, words.MESSAGE))))
    if remedy:
        rows.append(("remedy", _diff(remedy)))
    elif explanation is not None:
        rows.append(("do", Text(clean(explanation.cure, words.MESSAGE))))
    rows.append(("more", Text(f"stepscope explain {clean(finding.rule)}", style="dim")))
    for name, text in rows:
        if text.plain:
            grid.add_row(Text(" " * (gutter + 1) + "=", style="blue"), Text(f"{name}:", style="bold"), text)
    return grid


def _diff(lines: list[str]) -> Text:
    text = Text()
    for at, line in enumerate(lines):
        text.append("\n" if at else "").append(clean(line), style=_DIFF.get(line[:1], ""))
    return text


def _summary(outcome: Outcome) -> Text:
    bad = bool(outcome.counting)
    style = "bold red" if bad else "bold yellow" if outcome.is_empty or outcome.ended == "failed" else "bold green"
    return Text(words.summary(outcome), style=style)


def _rest(outcome: Outcome, *, verbose: bool) -> list[RenderableType]:
    """What there is to know besides; nothing where all is well."""
    lines = [Text(f"note: {aside}", "yellow", overflow="fold") for aside in words.asides(outcome)]
    has_more = bool(outcome.verdict.findings) or outcome.is_empty or verbose
    if not outcome.saw_training:
        lines.append(Text("Is this the program that trains, and has it all the arguments it needs?", overflow="fold"))
    elif verbose:
        lines += _unjudged(outcome)
    elif has_more and outcome.verdict.unjudged:
        lines.append(Text(words.unjudged_briefly(outcome), "dim", overflow="fold"))
    if has_more:
        folder = clean(outcome.shown_path(outcome.record), words.PATH)
        lines.append(Text(f"Record: {folder}", "dim", overflow="fold"))
    return [*lines]


def _unjudged(outcome: Outcome) -> list[Text]:
    reasons = words.unjudged(outcome)
    lines = [Text("Rules that had nothing to judge:")] if reasons else []
    lines += [Text(f"  {reason}: {', '.join(map(clean, names))}", "dim", overflow="fold") for reason, names in reasons]
    return lines
