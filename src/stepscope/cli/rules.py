"""``stepscope rules`` and ``stepscope explain``: what is checked, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from stepscope.cli.output import Report, options, screen
from stepscope.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from stepscope.checking.explanation import Explanation

_FORMS = ("text", "json", "markdown")

_RULES_HELP = """List all rules of `stepscope check`.

\b
stepscope rules
stepscope rules --format markdown --output rules.md

evidence: the strongest that a rule may claim. proof: it cannot be otherwise; strong; hint.
severity: error: the training is wrong; warning: likely worse than it need be; note.
"""

_EXPLAIN_HELP = """Explain RULE: what it sees, why it hurts, what to do, with the bad and the good code.

\b
stepscope explain stale-gradients
"""


@click.command("rules", help=_RULES_HELP)
@options("the list", _FORMS)
def rules(*, form: str, output: str | None) -> None:
    """List every rule, phase by phase."""
    from typing import get_args

    from stepscope.checking.explanation import explain
    from stepscope.checking.finding import Phase
    from stepscope.render import rulebook
    from stepscope.rules import all_rules

    phases = get_args(Phase)
    listed = sorted(
        (explain(name, module) for name, module in all_rules().items()),
        key=lambda one: (phases.index(one.phase), one.rule),
    )
    lower: dict[str, Callable[[bool], str]] = {
        "json": lambda _: rulebook.as_json(listed),
        "markdown": lambda _: rulebook.markdown_table(listed),
        "text": lambda to_terminal: rulebook.table(listed, **screen(to_terminal=to_terminal)),
    }
    _report(output, form, lower[form])


@click.command("explain", help=_EXPLAIN_HELP)
@options("the explanation", _FORMS)
@click.argument("name", metavar="RULE")
def explain(name: str, *, form: str, output: str | None) -> None:
    """Show one rule in full."""
    from stepscope.render import rulebook

    told = _explanation(name)
    lower: dict[str, Callable[[bool], str]] = {
        "json": lambda _: rulebook.as_json([told]),
        "markdown": lambda _: rulebook.markdown_page(told),
        "text": lambda to_terminal: rulebook.page(told, **screen(to_terminal=to_terminal)),
    }
    _report(output, form, lower[form])


def _explanation(name: str) -> Explanation:
    from stepscope import rules as rulebook
    from stepscope.checking.explanation import explain
    from stepscope.checking.selection import unknown

    try:
        return explain(name, rulebook.get(name))
    except KeyError:
        raise UsageError(unknown(name, rulebook.names())) from None


def _report(path: str | None, form: str, lower: Callable[[bool], str]) -> None:
    report = Report(path, form, "the report")
    report.open()
    report.write(lower)
