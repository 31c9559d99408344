"""What the verbs share that run a script: their arguments, what is to be run, and its record."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stepscope.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from stepscope.launch.target import Target

#: Where the options of stepscope end and those of the script begin.
ORDER = "Options of stepscope come before SCRIPT; all that follows SCRIPT is the script's own."


class ScriptCommand(click.Command):
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


def script_command(name: str, text: str) -> Callable[[Callable[..., Any]], click.Command]:
    """A verb that takes ``SCRIPT ARGS`` or ``-m MODULE ARGS``, and a folder for its record."""

    def make(function: Callable[..., Any]) -> click.Command:
        for add in (
            click.argument("arguments", nargs=-1, type=click.UNPROCESSED),
            click.argument("script", required=False),
            click.option(
                "--record",
                type=click.Path(),
                metavar="DIR",
                help="Keep the record in DIR.  [default: a new one in .stepscope/runs]",
            ),
            click.option("-m", "module", metavar="MODULE", help="Run a module, as `python -m MODULE` would."),
        ):
            function = add(function)
        settings = {"allow_interspersed_args": False}
        return click.command(name, cls=ScriptCommand, help=f"{text}\n\n{ORDER}\n", context_settings=settings)(function)

    return make


@dataclass
class Ended:
    """How the script ended, as its record will say."""

    reason: str = "finished"
    message: str = ""

    def note(self, reason: str, message: str) -> None:
        """Keep how the script's main thread ended; other threads may still train."""
        self.reason, self.message = reason, message


def find_target(verb: str, module: str | None, script: str | None, arguments: tuple[str, ...], broken: int) -> Target:
    """What is to be run; where it is no Python, Python's own words and exit code ``broken``."""
    from stepscope.launch import target

    try:
        if module is not None:
            return target.module(module, [script, *arguments] if script is not None else [])
        if script is None:
            raise UsageError(f"name a script to run: stepscope {verb} SCRIPT [ARGS...]")
        return target.script(script, list(arguments))
    except SyntaxError as error:
        error.__traceback__ = None
        sys.excepthook(type(error), error, None)
        raise SystemExit(broken) from None


def folder_for(record: str | None) -> Path | None:
    """The folder that the record is wanted in.

    Raises:
        UsageError: something else is there.
    """
    if record is None:
        return None
    if Path(record).is_file():
        raise UsageError(f"{record} is a file; name a folder for the record")
    # The other ranks of a launch join the record that the first one has begun.
    if Path(record, "run.json").exists() and is_first_rank():
        raise UsageError(f"{record} holds a record already; name another folder, or delete it")
    return Path(record)


def is_first_rank() -> bool:
    """Whether this process is the one of its launch that speaks."""
    return os.environ.get("RANK", "0") == "0"
