"""``stepscope check``: run an unchanged script, watched, and say what is silently wrong in it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stepscope.cli import launching, output

if TYPE_CHECKING:
    from stepscope.cli.config import Updates
    from stepscope.observe.schedule import Plan

_FORMS = ("text", "json", "sarif", "github", "markdown")

_HELP = """Run SCRIPT as `python SCRIPT ARGS` would, and say what is silently wrong in its training.

The script is not changed. It is ended once enough was seen: after 200 updates and, where it has
them, one evaluation and the start of a second epoch, or 60 seconds after its first update.

\b
stepscope check train.py
stepscope check train.py --lr 0.1 --epochs 3
stepscope check --updates all train.py
stepscope check --select stale-gradients,double-softmax train.py
stepscope check --format sarif --output check.sarif train.py
stepscope check -m mypackage.train
torchrun --nproc-per-node 2 -m stepscope check train.py

\b
Exit code: 0  nothing found that is both bad (error, warning) and sure (proof, strong)
           1  something found that is
           2  wrong usage, or nothing could be checked: not one update was seen
           3  the script itself failed
         130  Ctrl-C

`# stepscope: ignore[RULE]` on a line waves a finding off there; [tool.stepscope] in
pyproject.toml takes select, ignore, updates and seconds. stepscope rules lists the rules.
"""

#: What is seen before the script is ended, where nobody says.
UPDATES, SECONDS = 200, 60.0
#: Of a longer check, how many updates are watched as thoroughly as those of a short one.
_MOST_THOROUGH = 1000


def _updates(_ctx: click.Context, _param: click.Parameter, value: str | None) -> Updates | None:
    if value is None or value == "all":
        return "all" if value else None
    if value.isdecimal() and int(value):
        return int(value)
    raise click.BadParameter("must be 'all' or a number of updates from 1")


def _seconds(_ctx: click.Context, _param: click.Parameter, value: float | None) -> float | None:
    if value is not None and not 0 < value < float("inf"):
        raise click.BadParameter("must be a number of seconds above 0")
    return value


def _names(_ctx: click.Context, _param: click.Parameter, values: tuple[str, ...]) -> list[str]:
    return [name.strip() for value in values for name in value.split(",") if name.strip()]


@launching.script_command("check", _HELP, lenient=True)
@click.option(
    "--updates", callback=_updates, metavar="N|all", help="End the script after N updates; all: let it end by itself."
)
@click.option(
    "--seconds",
    type=float,
    callback=_seconds,
    metavar="S",
    help="End it S seconds after its first update.  [default: 60; none with --updates all]",
)
@click.option("--select", multiple=True, callback=_names, metavar="RULE,...", help="Ask these rules only.")
@click.option("--ignore", multiple=True, callback=_names, metavar="RULE,...", help="Do not ask these rules.")
@click.option(
    "--no-probe", is_flag=True, help="Make no forward of our own: some rules run the model once more on copies."
)
@click.option("-v", "--verbose", is_flag=True, help="Name the rules that had nothing to judge, and what is waved off.")
@output.options("the findings", _FORMS)
def command(
    module: str | None,
    record: str | None,
    *,
    updates: Updates | None,
    seconds: float | None,
    select: list[str],
    ignore: list[str],
    no_probe: bool,
    verbose: bool,
    form: str,
    output: str | None,
    script: str | None,
    arguments: tuple[str, ...],
) -> BaseException | int:
    """Run, judge, report; returns the exit code, or what ends a forked child of the script."""
    from stepscope import rules
    from stepscope.checking.selection import choose
    from stepscope.cli import config
    from stepscope.cli.checkup import Check
    from stepscope.cli.output import Report
    from stepscope.observe.watch import Watch

    target = launching.find_target("check", module, script, arguments, broken=3)
    settings = config.find(Path(target.path).parent)
    asked = choose(rules.names(), select or settings.select, [*ignore, *settings.ignore])
    plan = _plan(updates or settings.updates, seconds or settings.seconds, probe=not no_probe)
    check = Check(
        target=target,
        watch=Watch(launching.folder_for(record), plan, target.name, target.arguments[1:]),
        report=Report(output, form, "the findings"),
        form=form,
        asked=asked,
        shown_as=module or script or target.path,
        root=_root(form),
        verbose=verbose,
    )
    return check.run()


def _plan(updates: Updates | None, seconds: float | None, *, probe: bool) -> Plan:
    from stepscope.observe.schedule import Limits, Plan

    if updates == "all":
        limits = Limits(sys.maxsize, seconds, patient=False) if seconds else None
        return Plan(thorough=_MOST_THOROUGH, limits=limits, probe=probe)
    limits = Limits(updates or UPDATES, seconds or SECONDS, patient=updates is None)
    return Plan(thorough=min(max(limits.updates, UPDATES), _MOST_THOROUGH), limits=limits, probe=probe)


def _root(form: str) -> str:
    """What paths are told relative to: the working directory; for code hosts, the checkout."""
    here = Path.cwd()
    if form not in {"sarif", "github"}:
        return str(here)
    workspace = os.environ.get("GITHUB_WORKSPACE")
    if workspace and here.is_relative_to(workspace):
        return workspace
    return str(next((place for place in (here, *here.parents) if (place / ".git").exists()), here))
