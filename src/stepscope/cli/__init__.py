"""The command line. Only here is anything printed, and only here does the process exit.

Nothing that a verb needs is imported before that verb runs: ``stepscope --help`` is fast.
"""

from __future__ import annotations

import sys

import click

from stepscope.errors import StepscopeError
from stepscope.version import __version__

#: Wrong usage: a path that is not there, an option that cannot be.
USAGE = 2

#: Verb -> the module and the name of its command.
_VERBS = {
    "check": ("check", "command"),
    "trace": ("trace", "command"),
    "show": ("show", "command"),
    "rules": ("rules", "rules"),
    "explain": ("rules", "explain"),
    "demo": ("demo", "command"),
}


class _Verbs(click.Group):
    """Subcommands that are imported when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(_VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _VERBS:
            return None
        import importlib

        module, name = _VERBS[cmd_name]
        command = getattr(importlib.import_module(f"{__name__}.{module}"), name)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0] if args else ""
        if name and name not in _VERBS and not name.startswith("-"):
            import difflib

            near = difflib.get_close_matches(name, [*_VERBS], n=1)
            hint = f" Did you mean {near[0]}?" if near else f" Commands: {', '.join(_VERBS)}."
            if name.endswith(".py"):
                hint = f" To check a script: stepscope check {name}; to see what it does: stepscope trace {name}"
            raise click.UsageError(f"there is no command {name!r}.{hint}", ctx)
        return super().resolve_command(ctx, args)


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="stepscope")
def cli() -> None:
    """Run, show, check and teach the PyTorch training loop.

    \b
    stepscope check train.py       run your own script and see what is silently wrong
    stepscope trace train.py       run it and see what each step did
    stepscope show RUN             show a record again
    stepscope explain RULE         why a finding matters, with bad and good code
    stepscope demo                 train on real digits and see every step explained
    """  # noqa: D301  # click's mark for text that is not to be wrapped


def main() -> None:
    """Run the command line; errors of ours become a sentence and an exit code."""
    try:
        code = cli(standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except StepscopeError as error:
        print(f"stepscope: {error}", file=sys.stderr)
        sys.exit(USAGE)
    if isinstance(code, BaseException):
        from stepscope.launch.runner import let_go

        let_go(code)
    sys.exit(code if isinstance(code, int) else 0)
