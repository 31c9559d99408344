"""``stepscope trace``: run an unchanged script, watched, and show what each step did."""

from __future__ import annotations

import atexit
import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stepscope.cli import output
from stepscope.errors import NothingToShowError, StepscopeError, UsageError

if TYPE_CHECKING:
    from stepscope.cli.output import Format, Report
    from stepscope.launch.target import Target
    from stepscope.observe.schedule import Looks
    from stepscope.observe.watch import Watch

_HELP = """Run SCRIPT as `python SCRIPT ARGS` would, and show what each step did.

Nothing in the script is changed, and nothing in its training: same weights, same random
numbers, same output, same exit code. A record of the run is kept.

\b
stepscope trace train.py --epochs 3
stepscope trace --format json train.py > trace.json
stepscope trace -m mypackage.train --lr 0.1
torchrun --nproc-per-node 2 -m stepscope trace train.py

Options of stepscope come before SCRIPT; all that follows SCRIPT is the script's own.
"""


def _looks(_ctx: click.Context, _param: click.Parameter, value: str) -> Looks:
    if value == "all":
        return "all"
    if value == "auto":
        return "auto"
    if value.isdecimal():
        return int(value)
    raise click.BadParameter("must be 'auto', 'all' or a number of updates")


class _Trace(click.Command):
    """As in Python, ``-m MODULE`` ends the options: all that follows is the module's own."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Mark where the options of stepscope end."""
        valued = {name for p in self.params if isinstance(p, click.Option) and not p.is_flag for name in p.opts}
        place = 0
        while place < len(args) and args[place].startswith("-") and args[place] != "--":
            of_module = args[place].startswith("-m")
            place += 2 if args[place] in valued else 1
            if of_module:
                args = [*args[:place], "--", *args[place:]]
                break
        return super().parse_args(ctx, args)


@click.command("trace", cls=_Trace, help=_HELP, context_settings={"allow_interspersed_args": False})
@click.option("-m", "module", metavar="MODULE", help="Run a module, as `python -m MODULE` would.")
@click.option(
    "--looks",
    default="auto",
    callback=_looks,
    metavar="auto|all|N",
    show_default=True,
    help="Which updates to look at closely: the first and ever fewer, all, or the first N.",
)
@click.option(
    "--record",
    type=click.Path(),
    metavar="DIR",
    help="Keep the record in DIR.  [default: a new one in .stepscope/runs]",
)
@click.option("--no-report", is_flag=True, help="Only keep the record; print nothing at the end.")
@output.options
@click.argument("script", required=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def command(
    module: str | None,
    looks: Looks,
    record: str | None,
    *,
    no_report: bool,
    form: Format,
    output: str | None,
    number: int | None,
    script: str | None,
    arguments: tuple[str, ...],
) -> BaseException | None:
    """Run and show; what the script raised is returned, to be raised where Python handles it."""
    from stepscope.cli.output import Report
    from stepscope.launch import runner
    from stepscope.observe.schedule import Plan
    from stepscope.observe.watch import Watch

    target = _target(module, script, arguments)
    if record is not None and Path(record).is_file():
        raise UsageError(f"{record} is a file; name a folder for the record")
    # The other ranks of a launch join the record that the first one has begun.
    if record is not None and Path(record, "run.json").exists() and os.environ.get("RANK", "0") == "0":
        raise UsageError(f"{record} holds a record already; name another folder, or delete it")
    report = Report(output, form)
    watch = Watch(Path(record) if record else None, Plan(looks=looks), target.name, target.arguments[1:])
    watch.start()
    report.open()
    # Registered before the script runs, so it comes after the script's own exit handlers, when
    # its threads have ended, too.
    atexit.register(_finish, watch, report, number, quiet=no_report)
    return runner.run(target, _ended)


def _target(module: str | None, script: str | None, arguments: tuple[str, ...]) -> Target:
    from stepscope.launch import target

    try:
        if module is not None:
            return target.module(module, [script, *arguments] if script is not None else [])
        if script is None:
            raise UsageError("name a script to run: stepscope trace SCRIPT [ARGS...]")
        return target.script(script, list(arguments))
    except SyntaxError as error:
        error.__traceback__ = None
        sys.excepthook(type(error), error, None)
        raise SystemExit(1) from None


_outcome: dict[str, str] = {}


def _ended(reason: str, message: str) -> None:
    """The main thread is done; others may still train, so the record stays open until exit."""
    _outcome.update(reason=reason, message=message)


def _finish(watch: Watch, report: Report, number: int | None, *, quiet: bool) -> None:
    """Close the record and show it: the last thing this process does."""
    if watch.in_child:
        return  # a fork of the process that is watched also comes by here
    reason = _outcome.get("reason", "finished")
    watch.stop(reason, _outcome.get("message", ""))
    if quiet or os.environ.get("RANK", "0") != "0":
        return
    if reason == "interrupted":
        if watch.saw_torch and watch.failed is None:
            show = f"stepscope show {shlex.quote(str(watch.folder))}"
            print(f"stepscope: interrupted; show the record with: {show}", file=sys.stderr)
        return
    try:
        _show(watch, report, number)
    except NothingToShowError as nothing:
        print(f"stepscope: {nothing}", file=sys.stderr)
    except StepscopeError as error:
        kept = f"; the record is in {watch.folder}" if watch.failed is None else ""
        print(f"stepscope: {error}{kept}", file=sys.stderr)
    except KeyboardInterrupt:
        print(f"stepscope: interrupted; the record is in {watch.folder}", file=sys.stderr)


def _show(watch: Watch, report: Report, number: int | None) -> None:
    from stepscope.pipeline.build import build

    if not watch.saw_torch:
        raise NothingToShowError("the script never imported torch, so there was nothing to watch")
    report.write(build(watch.run, number))
