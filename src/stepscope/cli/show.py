"""``stepscope show``: show a record again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from stepscope.cli import output
from stepscope.errors import RecordError

if TYPE_CHECKING:
    from stepscope.cli.output import Format

_HELP = """Show the trace of a record: the folder RUN, or the newest one here.

\b
stepscope show
stepscope show .stepscope/runs/train-20260102-030405 --update 4
stepscope show RUN --format markdown --output trace.md
"""


@click.command("show", help=_HELP)
@output.trace_options
@click.argument("run", required=False, type=click.Path())
def command(*, form: Format, output: str | None, number: int | None, run: str | None) -> None:
    """Load and show."""
    from stepscope.cli.output import Report, lower
    from stepscope.loading import load
    from stepscope.pipeline.build import build

    folder = Path(run) if run is not None else _newest()
    report = Report(output, form)
    document = build(load(folder), number)
    report.open()
    report.write(lambda to_terminal: lower(document, form, to_terminal=to_terminal))


def _newest() -> Path:
    from stepscope.observe.places import FALLBACK, RUNS

    for root in (RUNS, FALLBACK):
        runs = sorted(root.glob("*/run.json"), key=lambda path: path.stat().st_mtime)
        if runs:
            return runs[-1].parent
    raise RecordError(f"there is no record in {RUNS.absolute()}; make one with: stepscope trace SCRIPT")
