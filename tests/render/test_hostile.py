"""Foreign text in every place: nothing leaves its line, its cell or its width."""

from __future__ import annotations

import json as stdlib_json
import re
import unicodedata

import msgspec
import pytest

from stepscope.pipeline.document import Document
from stepscope.render import json, markdown, terminal

WIDTHS = (60, 80, 120)


def columns(line: str) -> int:
    """The columns that a terminal needs for ``line``; by Unicode's tables, not by rich's."""
    return sum(
        0 if unicodedata.category(c) in {"Mn", "Me"} else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in line
    )


def with_text(value, text):
    """``value`` with every string in it replaced, but for the words that stand for numbers."""
    if isinstance(value, str):
        return value if value in {"nan", "inf", "-inf"} else text
    if isinstance(value, list):
        return [with_text(item, text) for item in value]
    if isinstance(value, dict):
        return {
            key: {text: item["optimizer"]} if key == "losses" and isinstance(item, dict) else with_text(item, text)
            for key, item in value.items()
        }
    return value


@pytest.fixture
def poisoned(document, hostile):
    return msgspec.convert(with_text(msgspec.to_builtins(document), hostile), Document)


def odd_characters(text):
    return {c for c in text if unicodedata.category(c) in {"Cc", "Cf", "Cs", "Zl", "Zp"} and c != "\n"}


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("unicode", [True, False])
def test_terminal_lines_are_no_wider_than_the_terminal(poisoned, width, unicode):
    text = terminal.render(poisoned, width=width, unicode=unicode)
    assert max(map(columns, text.split("\n"))) <= width
    assert odd_characters(text) == set()
    assert len(text) < 60_000


def test_colors_are_the_only_codes(poisoned):
    text = terminal.render(poisoned, color=True)
    assert odd_characters(re.sub(r"\x1b\[[0-9;]+m", "", text)) == set()


def test_markup_of_rich_is_no_markup(document):
    text = terminal.render(msgspec.structs.replace(document, title="[bold]x[/bold] :smile: [/]"))
    assert text.startswith("stepscope trace: [bold]x[/bold] :smile: [/] ")


def test_markdown_tables_keep_their_columns(poisoned):
    text = markdown.render(poisoned)
    assert odd_characters(text) == set()
    tables = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    assert len(tables) == 5
    for table in tables:
        rows = [len(re.findall(r"(?<!\\)(?:\\\\)*\|", row)) for row in table.splitlines()]
        assert len(set(rows)) == 1, table[:500]


def test_markdown_lets_no_html_through(document):
    text = markdown.render(msgspec.structs.replace(document, title="</script><img onerror=x>", notes=["<b>&lt;"]))
    assert "<" not in text
    assert "&amp;lt;" in text


def test_markdown_code_cannot_be_closed_from_inside(document):
    update = document.update
    assert update is not None
    loss = msgspec.structs.replace(update.losses[0], function="a`**b**`c")
    update = msgspec.structs.replace(update, losses=[loss])
    text = markdown.render(msgspec.structs.replace(document, update=update))
    assert "Loss: `a\u2019**b**\u2019c` = **1.25**; 1 of 2 right" in text


def test_a_fence_in_a_line_does_not_close_the_block(document):
    update = document.update
    assert update is not None
    arithmetic = msgspec.structs.replace(update.arithmetic[0], lines=["```", "~~~"], formula="```")
    text = markdown.render(
        msgspec.structs.replace(document, update=msgspec.structs.replace(update, arithmetic=[arithmetic]))
    )
    block = text.split("```text\n")[1]
    assert block.index("the optimizer made it") < block.index("\n```\n")


def test_json_gives_every_string_back(poisoned, hostile):
    text = json.render(poisoned)
    document = stdlib_json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    assert document["title"] == document["update"]["stages"][0]["name"] == hostile
    assert msgspec.json.decode(text, type=Document) == poisoned
