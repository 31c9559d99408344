"""Where a report goes and how it looks there: terminal or pipe, colours or none, file or screen."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from stepscope.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from stepscope.pipeline.document import Document

Format = Literal["text", "json", "markdown"]

_NARROWEST = 60
_WIDEST = 120


def options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that all verbs with a report share."""
    for option in reversed(
        (
            click.option(
                "--format",
                "form",
                type=click.Choice(["text", "json", "markdown"]),
                default="text",
                show_default=True,
                help="How to print the trace.",
            ),
            click.option(
                "--output",
                type=click.Path(dir_okay=False),
                metavar="FILE",
                help="Write the trace to FILE instead of the terminal.",
            ),
            click.option(
                "--update",
                "number",
                type=click.IntRange(min=1),
                metavar="N",
                help="Show update N (one that was looked at closely).  [default: the first]",
            ),
        )
    ):
        command = option(command)
    return command


def lower(document: Document, form: Format, *, to_terminal: bool) -> str:
    """The document as text in the wanted form, fit for where it goes."""
    if form == "json":
        from stepscope.render.json import render as render_json

        return render_json(document)
    if form == "markdown":
        from stepscope.render.markdown import render as render_markdown

        return render_markdown(document)
    from stepscope.render.terminal import render as render_text

    return render_text(document, width=_width(), color=to_terminal and _wants_color(), unicode=_has_unicode())


def _width() -> int:
    return max(_NARROWEST, min(shutil.get_terminal_size((80, 24)).columns, _WIDEST))


def _wants_color() -> bool:
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _has_unicode() -> bool:
    return (getattr(sys.stdout, "encoding", "") or "").lower().replace("-", "").startswith("utf")


class Report:
    """The place that a report is written to at the end: a file, or standard output.

    Where the report owns standard output (JSON or Markdown to be piped), what the script prints
    there goes to standard error from :meth:`open` on.
    """

    def __init__(self, path: str | None, form: Format) -> None:
        """Report to ``path``, or to standard output."""
        self._path = Path(path) if path else None
        self._form = form
        self._descriptor: int | None = None
        if self._path is not None and not self._path.absolute().parent.is_dir():
            raise UsageError(f"cannot write {path}: there is no directory {self._path.absolute().parent}")

    def open(self) -> None:
        """Take standard output for the report alone, where it must be."""
        if self._path is None and self._form != "text":
            sys.stdout.flush()
            self._descriptor = os.dup(1)
            os.dup2(2, 1)

    def write(self, document: Document) -> None:
        """Write the document in its form."""
        if self._path is not None:
            text = lower(document, self._form, to_terminal=False)
            try:
                self._path.write_text(text, encoding="utf-8")
            except OSError as error:
                raise UsageError(f"cannot write {self._path}: {error.strerror}") from None
            return
        text = lower(document, self._form, to_terminal=self._descriptor is None and sys.stdout.isatty())
        if self._descriptor is None:
            self._print(text)
            return
        with os.fdopen(self._descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)

    def _print(self, text: str) -> None:
        sys.stdout.flush()
        try:
            sys.stdout.write(text)
            sys.stdout.flush()
        except UnicodeEncodeError:
            sys.stdout.write(text.encode("ascii", "replace").decode())
        except BrokenPipeError:
            # Whoever read us has seen enough (head, less): that is no error.
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
