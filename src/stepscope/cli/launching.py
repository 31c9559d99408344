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
LENIENT = """Options of stepscope come before SCRIPT, or right after it where the script's source names no option
like that (`--` ends them); all else that follows SCRIPT is the script's own."""


class ScriptCommand(click.Command):
    """As in Python, ``-m MODULE`` ends the options: all that follows is the module's own."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Mark where the options of stepscope end."""
        valued = self._names(valued=True)
        place = 0
        while place < len(args) and args[place].startswith("-") and args[place] != "--":
            of_module = args[place].startswith("-m")
            place += 2 if args[place] in valued else 1
            if of_module:
                args = [*args[:place], "--", *args[place:]]
                break
        return super().parse_args(ctx, self._in_order(args, place))

    def _names(self, *, valued: bool) -> set[str]:
        options = [p for p in self.params if isinstance(p, click.Option) and (not p.is_flag) is valued]
        return {name for option in options for name in option.opts}

    def _in_order(self, args: list[str], place: int) -> list[str]:
        """The arguments as they are; the script at ``place`` ends the options of stepscope."""
        del place
        return args


class LenientCommand(ScriptCommand):
    """Options of stepscope may also stand right after the script, unless the script may mean them."""

    def _in_order(self, args: list[str], place: int) -> list[str]:
        if place >= len(args) or args[place] == "--":
            return args
        script, rest = args[place], args[place + 1 :]
        ours: list[str] = []
        try:
            source = Path(script).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return args  # that it cannot be read is said later
        valued, flags = self._names(valued=True), self._names(valued=False)
        while rest and rest[0].startswith("--"):
            name, with_value, _ = rest[0].partition("=")
            if name not in valued | flags or name in source:
                break
            taken = 2 if name in valued and not with_value else 1
            ours, rest = [*ours, *rest[:taken]], rest[taken:]
        if rest and rest[0] == "--" and ours:
            rest = rest[1:]
        return [*args[:place], *ours, script, *rest]


def script_command(name: str, text: str, *, lenient: bool = False) -> Callable[[Callable[..., Any]], click.Command]:
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
        kind, order = (LenientCommand, LENIENT) if lenient else (ScriptCommand, ORDER)
        return click.command(name, cls=kind, help=f"{text}\n\n{order}\n", context_settings=settings)(function)

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
