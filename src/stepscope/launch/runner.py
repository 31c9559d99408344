"""Running a target in this process, faithfully: argv, paths, ``__main__``, exit code, exceptions."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

from stepscope.observe.frames import count_as_user
from stepscope.observe.watch import strip_own_frames

if TYPE_CHECKING:
    from collections.abc import Callable

    from stepscope.launch.target import Target


def run(target: Target, ended: Callable[[str, str], None]) -> int:
    """Run ``target`` to its end, call ``ended(reason, message)``, and return its exit code.

    The script's own exceptions are printed as Python prints them, without a frame of ours.
    Ctrl-C ends the process as Python would end it; that call does not return.
    """
    count_as_user(target.path)
    main = target.make_main()
    sys.argv[:] = target.arguments
    if not sys.flags.safe_path or target.spec is None:
        sys.path[0] = target.first_path
    sys.modules["__main__"] = main
    try:
        exec(target.code, main.__dict__)  # noqa: S102  # running the user's script is the point
    except SystemExit as end:
        ended("exit", "" if end.code in {None, 0} else str(end.code))
        return _exit_code(end)
    except KeyboardInterrupt as interrupt:
        _print(interrupt)
        ended("interrupted", "")
        _die_of_interrupt()
        return 130
    except BaseException as error:  # noqa: BLE001  # printed just as Python would
        _print(error)
        ended("exception", f"{type(error).__name__}: {error}")
        return 1
    ended("finished", "")
    return 0


def _print(error: BaseException) -> None:
    strip_own_frames(error)
    sys.excepthook(type(error), error, error.__traceback__)


def _exit_code(end: SystemExit) -> int:
    if end.code is None:
        return 0
    if isinstance(end.code, int):
        return end.code
    print(end.code, file=sys.stderr)
    return 1


def _die_of_interrupt() -> None:
    """Die of SIGINT, so that a shell sees what it would see of Python itself."""
    sys.stdout.flush()
    sys.stderr.flush()
    if os.name == "posix":
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
