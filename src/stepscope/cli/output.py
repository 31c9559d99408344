"""Where a report goes and how it looks there: terminal or pipe, colours or none, file or screen."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypedDict

import click

from stepscope.errors import StepscopeError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from stepscope.pipeline.document import Document

Format = Literal["text", "json", "markdown"]

_NARROWEST = 60
_WIDEST = 120

#: For streams that cannot print what the renderers draw whatever the width of their alphabet.
_PLAIN = str.maketrans({"\u2192": "->", "\u2026": "...", "\u2003": " ", "\u2019": "'", "\ufffd": "?"})


def options(what: str, forms: Sequence[str]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The options that all verbs with a report share: its form, and where it goes."""

    def add(command: Callable[..., Any]) -> Callable[..., Any]:
        to_file = click.option(
            "--output",
            type=click.Path(dir_okay=False),
            metavar="FILE",
            help=f"Write {what} to FILE instead of the terminal.",
        )
        form = click.option(
            "--format",
            "form",
            type=click.Choice(forms),
            default="text",
            show_default=True,
            help=f"How to print {what}.",
        )
        return form(to_file(command))

    return add


def trace_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of all verbs that show a trace."""
    number = click.option(
        "--update",
        "number",
        type=click.IntRange(min=1),
        metavar="N",
        help="Show update N (one that was looked at closely).  [default: the first]",
    )
    return options("the trace", ("text", "json", "markdown"))(number(command))


def lower(document: Document, form: Format, *, to_terminal: bool) -> str:
    """The document as text in the wanted form, fit for where it goes."""
    if form == "json":
        from stepscope.render.json import render as render_json

        return render_json(document)
    if form == "markdown":
        from stepscope.render.markdown import render as render_markdown

        return render_markdown(document)
    from stepscope.render.terminal import render as render_text

    return render_text(document, **screen(to_terminal=to_terminal))


class Screen(TypedDict):
    """What a text may look like where it goes."""

    width: int
    color: bool
    unicode: bool


def screen(*, to_terminal: bool) -> Screen:
    """What text on standard output may look like; colours are for terminals that want them."""
    columns = max(_NARROWEST, min(shutil.get_terminal_size((80, 24)).columns, _WIDEST))
    return Screen(width=columns, color=to_terminal and _wants_color(), unicode=_has_unicode())


def _wants_color() -> bool:
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _has_unicode() -> bool:
    return (getattr(sys.stdout, "encoding", "") or "").lower().replace("-", "").startswith("utf")


class Report:
    """The place that a report is written to at the end: a file, or standard output.

    Where the report owns standard output (JSON or Markdown to be piped), what the script prints
    there goes to standard error from :meth:`open` on.
    """

    def __init__(self, path: str | None, form: str, what: str = "the trace") -> None:
        """Report ``what`` to ``path``, or to standard output."""
        self._path = Path(path).absolute() if path else None  # the script may go to another folder
        self._form = form
        self._what = what
        self._descriptor: int | None = None
        self._stream = sys.stdout  # as it is now: the script may put another in its place
        if self._path is not None and not self._path.parent.is_dir():
            raise UsageError(f"cannot write {path}: there is no directory {self._path.parent}")

    def open(self) -> None:
        """Take standard output for the report alone, where it must be."""
        if self._path is None and self._form != "text" and self._stream is not None:
            self._stream.flush()
            self._descriptor = os.dup(1)
            os.dup2(2 if sys.stderr is not None else _nowhere(), 1)

    def write(self, lower: Callable[[bool], str]) -> None:
        """Write what ``lower`` makes, told whether it is for a terminal; to nowhere where standard output is closed.

        Raises:
            StepscopeError: it cannot be written (a full disk).
        """
        on_screen = self._path is None and self._descriptor is None
        to_terminal = on_screen and self._stream is not None and not self._stream.closed and self._stream.isatty()
        text = lower(to_terminal)
        try:
            if self._path is not None:
                self._path.write_text(text, encoding="utf-8")
            elif self._descriptor is not None:
                with os.fdopen(self._descriptor, "w", encoding="utf-8") as stream:
                    stream.write(text)
            elif self._stream is not None and not self._stream.closed:
                self._print(text)
        except OSError as error:
            if on_screen:
                os.dup2(_nowhere(), 1)  # what the stream still holds must not fail again at exit
            if isinstance(error, BrokenPipeError):
                return  # whoever read us has seen enough (head, less): that is no error
            where = self._path or "standard output"
            raise StepscopeError(f"cannot write {self._what} to {where} ({error.strerror or error})") from None

    def _print(self, text: str) -> None:
        self._stream.flush()
        try:
            self._stream.write(text)
        except UnicodeEncodeError:
            encoding = self._stream.encoding or "ascii"
            self._stream.write(text.translate(_PLAIN).encode(encoding, "replace").decode(encoding))
        self._stream.flush()


def _nowhere() -> int:
    return os.open(os.devnull, os.O_WRONLY)
