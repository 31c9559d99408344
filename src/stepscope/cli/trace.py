"""``stepscope trace``: run an unchanged script, watched, and show what each step did."""

from __future__ import annotations

import atexit
import shlex
import sys
from typing import TYPE_CHECKING

import click

from stepscope.cli import launching, output
from stepscope.errors import NothingToShowError, StepscopeError

if TYPE_CHECKING:
    from collections.abc import Callable

    from stepscope.cli.launching import Ended
    from stepscope.cli.output import Format
    from stepscope.observe.schedule import Looks
    from stepscope.observe.watch import Watch
    from stepscope.pipeline.document import Document

_HELP = """Run SCRIPT as `python SCRIPT ARGS` would, and show what each step did.

Nothing in the script is changed, and nothing in its training: same weights, same random
numbers, same output, same exit code. A record of the run is kept.

\b
stepscope trace train.py --epochs 3
stepscope trace --format json train.py > trace.json
stepscope trace -m mypackage.train --lr 0.1
torchrun --nproc-per-node 2 -m stepscope trace train.py
"""


def _looks(_ctx: click.Context, _param: click.Parameter, value: str) -> Looks:
    if value == "all":
        return "all"
    if value == "auto":
        return "auto"
    if value.isdecimal():
        return int(value)
    raise click.BadParameter("must be 'auto', 'all' or a number of updates")


@launching.script_command("trace", _HELP)
@click.option(
    "--looks",
    default="auto",
    callback=_looks,
    metavar="auto|all|N",
    show_default=True,
    help="Which updates to look at closely: the first and ever fewer, all, or the first N.",
)
@click.option("--no-report", is_flag=True, help="Only keep the record; print nothing at the end.")
@output.trace_options
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
    from stepscope.cli.output import Report, lower
    from stepscope.launch import runner
    from stepscope.observe.schedule import Plan
    from stepscope.observe.watch import Watch

    target = launching.find_target("trace", module, script, arguments, broken=1)
    folder = launching.folder_for(record)
    report = Report(output, form)
    watch = Watch(folder, Plan(looks=looks), target.name, target.arguments[1:])
    watch.start()
    report.open()
    ended = launching.Ended()

    def show() -> None:
        document = _document(watch, number)
        report.write(lambda to_terminal: lower(document, form, to_terminal=to_terminal))

    # Registered before the script runs, so it comes after the script's own exit handlers, when
    # its threads have ended, too.
    atexit.register(_finish, watch, ended, None if no_report else show)
    return runner.run(target, ended.note)


def _finish(watch: Watch, ended: Ended, show: Callable[[], None] | None) -> None:
    """Close the record and show it: the last thing this process does."""
    if watch.in_child:
        return  # a fork of the process that is watched also comes by here
    watch.stop(ended.reason, ended.message)
    if show is None or not launching.is_first_rank():
        return
    if ended.reason == "interrupted":
        if watch.saw_torch and watch.failed is None:
            again = f"stepscope show {shlex.quote(str(watch.folder))}"
            print(f"stepscope: interrupted; show the record with: {again}", file=sys.stderr)
        return
    try:
        show()
    except NothingToShowError as nothing:
        print(f"stepscope: {nothing}", file=sys.stderr)
    except StepscopeError as error:
        kept = f"; the record is in {watch.folder}" if watch.failed is None else ""
        print(f"stepscope: {error}{kept}", file=sys.stderr)
    except KeyboardInterrupt:
        print(f"stepscope: interrupted; the record is in {watch.folder}", file=sys.stderr)


def _document(watch: Watch, number: int | None) -> Document:
    from stepscope.pipeline.build import build

    if not watch.saw_torch:
        raise NothingToShowError("the script never imported torch, so there was nothing to watch")
    return build(watch.run, number)
