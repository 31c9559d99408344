"""Foreign text in every place of a finding: nothing leaves its line, its cell, its command or its width."""

from __future__ import annotations

import json as stdlib_json
import re
import unicodedata

import pytest

from stepscope.render.findings import github, json, markdown, sarif, text

HOSTILE = {
    "html": "</script><b>&amp;",
    "control": "\x1b[31mred\x1b[0m \x07bell \x00nul \x9bcsi",
    "direction": "\u202eright to left\u202c \u200bzero\u2028line\u2029paragraph",
    "rich": "[bold]x[/bold] [link=https://example.org]y[/link] :smile:",
    "markdown": "a|b `code` *c* ``` ~~~ <!-- f -->",
    "github": "100%, a:b\n::error file=x::forged\r\n::stop-commands::y",
    "braces": "{line} {0} {x!r} %s",
    "wide": "e\u0301 训练 \U0001f600",
    "bytes": "latin\udce4",
    "long": "x" * 10_000,
}


@pytest.fixture(params=HOSTILE.values(), ids=HOSTILE)
def hostile(request):
    return request.param


@pytest.fixture
def poisoned(project, hostile, make_finding, make_outcome):
    on_disk = hostile.encode("utf-8", "surrogateescape").replace(b"\x00", b"")
    (project / "train.py").write_bytes(b"def f():\n    '''\n    " + on_disk + b"\n    '''\n")
    script = project / "train.py"
    findings = [
        make_finding(script, line=3, message=hostile, remedy=f"- {hostile}\n+ {{line}}", facts={hostile: hostile}),
        make_finding(f"/x/{hostile}.py", line=0, message=hostile, facts={"many": [hostile] * 50}, remedy=hostile),
        make_finding(script, line=10**9),
    ]
    findings.append(make_finding(None, line=0))
    return make_outcome(project, findings, script=hostile, message=hostile, ended="failed", record=f"/r/{hostile}")


def odd_characters(shown):
    return {c for c in shown if unicodedata.category(c) in {"Cc", "Cf", "Cs", "Zl", "Zp"} and c != "\n"}


def columns(line):
    """The columns that a terminal needs for ``line``; by Unicode's tables, not by rich's."""
    return sum(
        0 if unicodedata.category(c) in {"Mn", "Me"} else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in line
    )


@pytest.mark.parametrize("width", [60, 80, 120])
def test_terminal_lines_are_no_wider_than_the_terminal(poisoned, width):
    shown = text.render(poisoned, width=width, verbose=True)
    assert odd_characters(shown) == set()
    whole = [line for line in shown.split("\n") if not line.startswith("Found ")]
    assert max(map(columns, whole)) <= width
    assert len(shown) < 60_000


def test_colors_are_the_only_codes(poisoned):
    assert odd_characters(re.sub(r"\x1b\[[0-9;]+m", "", text.render(poisoned, color=True))) == set()


def test_a_command_of_github_stays_one(poisoned):
    lines = github.render(poisoned).splitlines()
    assert len(lines) == len(poisoned.verdict.findings) + 1
    for line in lines[:-1]:
        found = re.fullmatch(r"::error (?:file=([^,:]*),line=\d+,endLine=\d+,)?title=[^,:]*::[^\r\n]*", line)
        assert found, line[:300]
        assert not re.search(r"%(?!25|0A|0D|3A|2C)", line)
    assert lines[-1].startswith("stepscope: Found 4 errors")


def test_markdown_lets_no_html_through(poisoned):
    shown = markdown.render(poisoned)
    assert odd_characters(shown) == set()
    outside = re.sub(r"```\w+\n.*?\n```", "", shown, flags=re.DOTALL)
    outside = re.sub(r"`[^`\n]*`", "", outside)
    assert set(re.findall(r"<[^>]*>", outside)) <= {"<details>", "</details>", "<summary>", "</summary>"}


def test_json_gives_every_string_back(poisoned, hostile):
    document = stdlib_json.loads(json.render(poisoned), parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    expected = hostile.encode("utf-8", "backslashreplace").decode()
    assert document["findings"][0]["message"] == document["script"] == expected
    assert document["findings"][0]["facts"] == {expected: expected}


def test_sarif_is_json_and_its_places_are_uris(poisoned):
    run = stdlib_json.loads(sarif.render(poisoned), parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    for result in run["runs"][0]["results"]:
        uri = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
        assert re.fullmatch(r"[A-Za-z0-9._~/%:-]+", uri)
        assert odd_characters(result["message"]["text"]) == set()
