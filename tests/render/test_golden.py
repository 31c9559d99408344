"""The whole output for one document, to the letter.

After an intended change: ``STEPSCOPE_GOLDEN=write pytest tests/render/test_golden.py``, then read
the difference in ``tests/render/golden`` as a user would before it is committed.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from stepscope.render import json, markdown, terminal

GOLDEN = Path(__file__).parent / "golden"

CASES = {
    "wide-80.txt": lambda document: terminal.render(document, width=80),
    "narrow-60.txt": lambda document: terminal.render(document, width=60),
    "ascii-80.txt": lambda document: terminal.render(document, width=80, unicode=False),
    "color-80.txt": lambda document: terminal.render(document, width=80, color=True),
    "trace.md": markdown.render,
    "trace.json": json.render,
}


@pytest.mark.parametrize("name", CASES)
def test_the_whole_output_is_as_kept(name, document):
    text = CASES[name](document)
    path = GOLDEN / name
    if os.environ.get("STEPSCOPE_GOLDEN") == "write":
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


def test_ascii_is_ascii(document):
    assert terminal.render(document, unicode=False).isascii()


def test_color_is_the_plain_text_with_codes(document):
    import re

    colored = terminal.render(document, width=80, color=True)
    stripped = re.sub(r"\x1b\[[0-9;]*m", "", colored)
    assert [line.rstrip() for line in stripped.splitlines()] == terminal.render(document, width=80).splitlines()
    assert "\x1b" in colored


def test_no_codes_without_color(document):
    assert "\x1b" not in terminal.render(document)
