"""Running a target in this process, faithfully: argv, paths, ``__main__``, exit code, exceptions."""

from __future__ import annotations

import atexit
import contextlib
import sys
import threading
from typing import TYPE_CHECKING, NoReturn

from stepscope.observe.frames import count_as_user
from stepscope.observe.watch import strip_own_frames

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from stepscope.launch.target import Target


def run(target: Target, ended: Callable[[str, str], None]) -> BaseException | None:
    """Run ``target`` to its end, call ``ended(reason, message)``, and return what it raised.

    What is returned is to be raised again with :func:`let_go`, outside all other code.
    """
    count_as_user(target.path)
    main = target.make_main()
    sys.argv[:] = target.arguments
    if not sys.flags.safe_path or target.spec is None:
        sys.path[0] = target.first_path
    sys.modules["__main__"] = main
    _show_no_own_frames_in_threads()
    try:
        exec(target.code, main.__dict__)  # noqa: S102  # running the user's script is the point
    except SystemExit as end:
        ended("exit", "" if end.code in {None, 0} else str(end.code))
        return end
    except KeyboardInterrupt as interrupt:
        ended("interrupted", "")
        return interrupt
    except BaseException as error:  # noqa: BLE001  # raised again by let_go
        ended("exception", f"{type(error).__name__}: {error}")
        return error
    ended("finished", "")
    return None


def let_go(error: BaseException) -> NoReturn:
    """Raise what the script raised: Python prints it and exits, or dies of Ctrl-C, as without us.

    Only the traceback is put right when it is printed: it shows the script's frames alone.
    """
    strip_own_frames(error)
    trace = error.__traceback__
    hook = sys.excepthook

    def excepthook(kind: type[BaseException], value: BaseException, _trace: TracebackType | None) -> None:
        sys.excepthook = hook
        hook(kind, value.with_traceback(trace), trace)

    sys.excepthook = excepthook
    raise error


def wind_down(error: BaseException | None, target: Target) -> None:
    """End the script as Python would, all but the process.

    What it raised is told, its threads are waited for, its exit handlers called; what comes after
    that can still speak, and choose the exit code. Ctrl-C is not told of.
    """
    if isinstance(error, SystemExit):
        if not isinstance(error.code, int | None):
            print(error.code, file=sys.stderr)
    elif error is not None and not isinstance(error, KeyboardInterrupt):
        strip_own_frames(error)
        sys.excepthook(type(error), error, error.__traceback__)
    threading._shutdown()  # type: ignore[attr-defined]  # Python itself calls these two; nothing public does the same
    atexit._run_exitfuncs()
    with contextlib.suppress(ValueError):
        sys.path.remove(target.first_path)  # a module there must not stand in for one of those that come now


def _show_no_own_frames_in_threads() -> None:
    original = threading.excepthook

    def excepthook(args: threading.ExceptHookArgs) -> None:
        if args.exc_value is not None:
            strip_own_frames(args.exc_value)
            trace = args.exc_value.__traceback__
            args = threading.ExceptHookArgs((args.exc_type, args.exc_value, trace, args.thread))
        original(args)

    threading.excepthook = excepthook
