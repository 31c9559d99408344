"""Every rule's own examples: the bad one fires it, once, on that line; the good one fires none."""

from __future__ import annotations

import ast
import inspect
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import pytest

from stepscope import rules
from stepscope.checking.engine import judge
from stepscope.launch.example import watch_example

NAMES = rules.names()
SECTIONS = ("What it sees:", "Why it hurts:", "What to do:", "When to ignore it:")


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    """The record of a rule's ``bad`` or ``good``, run once."""

    @cache
    def run(name, which):
        module = rules.get(name)
        return watch_example(module.__name__, which, tmp_path_factory.mktemp("run") / "r", module.RULE.processes)

    return run


def line_that_fires(name):
    lines = Path(rules.get(name).__file__).read_text(encoding="utf-8").splitlines()
    marked = [number for number, line in enumerate(lines, 1) if line.rstrip().endswith("# fires")]
    assert len(marked) == 1
    return marked[0]


def fires_once_on_its_line(name, module, run):
    verdict = judge(run, {name: module})
    assert verdict.defects == {}
    return [(f.path, f.line) for f in verdict.findings] == [(module.__file__, line_that_fires(name))]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.filterwarnings("ignore")
def test_bad_fires_this_rule_once_on_its_line(name, example):
    module = rules.get(name)
    verdict = judge(example(name, "bad"), {name: module})
    assert verdict.defects == {}
    assert [(f.path, f.line, f.evidence) for f in verdict.findings] == [
        (module.__file__, line_that_fires(name), module.RULE.evidence)
    ], verdict.unjudged


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.filterwarnings("ignore")
def test_a_rule_whose_check_is_emptied_fails_that_test(name, example):
    module = rules.get(name)
    emptied = SimpleNamespace(RULE=module.RULE, check=lambda _run: iter(()), __file__=module.__file__)
    assert not fires_once_on_its_line(name, emptied, example(name, "bad"))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.filterwarnings("ignore")
def test_good_is_silent_under_every_rule(name, example):
    run = example(name, "good")
    verdict = judge(run, rules.all_rules())
    assert verdict.defects == {}
    assert [(f.rule, f.line, f.message) for f in verdict.findings] == []
    assert run.main.events
    assert verdict.rounds or verdict.updates
    assert name not in verdict.unjudged


@pytest.mark.parametrize("name", NAMES)
def test_the_docstring_has_its_sections(name):
    text = rules.get(name).__doc__
    summary, *rest = text.strip().split("\n\n")
    assert summary.endswith(".")
    assert "\n" not in summary
    assert [part.split(":")[0] + ":" for part in rest if not part.startswith(("See", "Source"))] == list(SECTIONS)


@pytest.mark.parametrize("name", NAMES)
def test_a_rule_is_pure(name):
    """No torch and no files outside its examples."""
    tree = ast.parse(inspect.getsource(rules.get(name)))
    outside = [node for node in tree.body if getattr(node, "name", "") not in {"bad", "good"}]
    words = {n.id for top in outside for n in ast.walk(top) if isinstance(n, ast.Name)}
    imported = {
        name.name.split(".")[0]
        for top in outside
        for n in ast.walk(top)
        if isinstance(n, ast.Import | ast.ImportFrom)
        for name in ([SimpleNamespace(name=n.module)] if isinstance(n, ast.ImportFrom) else n.names)
    }
    assert not words & {"open", "print", "Path"}
    assert "torch" not in imported


def test_a_rule_may_not_claim_more_than_it_says(example):
    module = rules.get("stale-gradients")
    modest = SimpleNamespace(
        RULE=replace(module.RULE, evidence="hint"),
        check=lambda run: (replace(found, evidence="proof") for found in module.check(run)),
    )
    verdict = judge(example("stale-gradients", "bad"), {"stale-gradients": modest})
    assert "may claim hint at most" in verdict.defects["stale-gradients"]


def test_where_a_part_of_the_watch_failed_no_rule_speaks(tmp_path, monkeypatch):
    from stepscope.observe.seams.backward import BackwardSeam

    def fail(*_args, **_kwargs):
        raise RuntimeError("ours")

    monkeypatch.setattr(BackwardSeam, "_after_backward", fail)
    module = rules.get("stale-gradients")
    verdict = judge(watch_example(module.__name__, "bad", tmp_path / "r"), rules.all_rules())
    assert verdict.findings == []
    assert set(verdict.unjudged.values()) == {"a part of stepscope failed (backward)"}
    assert len(verdict.unjudged) == len(NAMES)
