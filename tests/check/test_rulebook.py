"""``stepscope rules`` and ``stepscope explain``: every rule, in every form."""

from __future__ import annotations

import ast
import json
import re
from itertools import groupby

import pytest

from stepscope import rules
from stepscope.checking.explanation import Explanation, explain
from stepscope.render import rulebook

EXPLAINED = [explain(name, module) for name, module in rules.all_rules().items()]
SCREEN = {"width": 80, "color": False, "unicode": True}


@pytest.mark.parametrize("told", EXPLAINED, ids=lambda told: told.rule)
def test_every_rule_can_be_explained(told):
    assert all((told.summary, told.sees, told.hurts, told.cure, told.ignore))
    for program in (told.bad, told.good):
        assert ast.parse(program).body, "the examples are programs of their own"
    assert told.bad.count("# fires") == 1
    shown = rulebook.page(told, **SCREEN)
    assert shown.startswith(f"{told.rule} ─")
    heads = [line for line in shown.splitlines() if line and not line.startswith(" ")]
    assert [head for head in heads if head in {"What it sees", "Why it hurts", "What to do", "When to ignore it"}] == [
        "What it sees",
        "Why it hurts",
        "What to do",
        "When to ignore it",
    ]
    flat = " ".join(shown.split())
    assert told.hurts.split("\n\n")[0] in flat
    for line in told.bad.splitlines():
        assert f"  {line}".rstrip() in shown.splitlines(), "code is not wrapped"


def test_the_docstring_is_taken_apart():
    told = explain("stale-gradients", rules.get("stale-gradients"))
    assert told.summary == "Gradients that a step has already applied are applied again by the next one."
    assert told.sees.startswith("A backward adds to a gradient")
    assert told.cure == "Clear the gradients once per update, before backward or after the step."
    assert told.ignore.startswith("Where you keep a running sum of gradients on purpose.")
    assert "\n    loss.backward()  # fires\n" in told.bad
    assert "\n    optimizer.zero_grad()\n" in told.good


def test_the_table_names_every_rule_once():
    shown = rulebook.table(EXPLAINED, **SCREEN)
    assert max(map(len, shown.splitlines())) <= 80
    for name in rules.names():
        assert len(re.findall(rf"^   {name} ", shown, re.MULTILINE)) == 1
    marked = rulebook.markdown_table(EXPLAINED).splitlines()
    assert len(marked) == len(EXPLAINED) + 2
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in marked} == {6}


def test_json_gives_all_back():
    document = json.loads(rulebook.as_json(EXPLAINED))
    assert [rule["rule"] for rule in document["rules"]] == rules.names()
    assert set(document["rules"][0]) == set(Explanation.__struct_fields__)


def test_color_is_the_plain_page_with_codes():
    colored = rulebook.page(EXPLAINED[0], width=80, color=True, unicode=True)
    stripped = re.sub(r"\x1b\[[0-9;]*m", "", colored)
    assert [line.rstrip() for line in stripped.splitlines()] == rulebook.page(EXPLAINED[0], **SCREEN).splitlines()
    assert "\x1b" in colored


def test_ascii_is_ascii():
    assert rulebook.table(EXPLAINED[:1], width=80, color=False, unicode=False).isascii()


def test_on_the_command_line(stepscope_cli):
    done = stepscope_cli("rules", "--format", "json")
    assert done.returncode == 0, done.stderr
    phases = [rule["phase"] for rule in json.loads(done.stdout)["rules"]]
    assert phases[0] == "clear and step"
    assert len(list(groupby(phases))) == len(set(phases))
    done = stepscope_cli("explain", "stale-gradients")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Why it hurts" in done.stdout
    marked = stepscope_cli("explain", "stale-gradients", "--format", "markdown").stdout
    assert marked.startswith("## stale-gradients\n")
    assert marked.count("```python\n") == 2


@pytest.mark.parametrize(
    ("name", "says"),
    [("stale-gradient", "Did you mean stale-gradients"), ("E501", "stepscope rules lists them all.")],
)
def test_an_unknown_rule(stepscope_cli, name, says):
    done = stepscope_cli("explain", name)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"stepscope: there is no rule {name!r}. {says}")
