"""Whose an option is: stepscope's or the script's."""

from __future__ import annotations

import pytest

from stepscope.cli.check import command


def parsed(*arguments):
    context = command.make_context("check", list(arguments))
    return context.params


@pytest.mark.parametrize(
    ("arguments", "updates", "rest"),
    [
        (["--updates", "5", "{}"], 5, ()),
        (["{}", "--updates", "5"], 5, ()),
        (["{}", "--updates=5", "data", "--seconds", "3"], 5, ("data", "--seconds", "3")),
        (["{}", "--lr", "0.1", "--updates", "5"], None, ("--lr", "0.1", "--updates", "5")),
        (["{}", "--", "--updates", "5"], None, ("--", "--updates", "5")),
        (["{}", "--updates", "5", "--", "--seconds", "7"], 5, ("--seconds", "7")),
        (["{}", "-v"], None, ("-v",)),
        (["-m", "json.tool", "--updates", "5"], None, ("5",)),
    ],
)
def test_options_right_after_the_script(script, arguments, updates, rest):
    path = str(script("import sys\n"))
    found = parsed(*(a.format(path) for a in arguments))
    assert (found["updates"], found["arguments"]) == (updates, rest)


def test_the_script_keeps_options_that_it_names(script):
    path = str(script('import argparse; argparse.ArgumentParser().add_argument("--updates")\n'))
    found = parsed(path, "--updates", "5")
    assert (found["updates"], found["script"], found["arguments"]) == (None, path, ("--updates", "5"))


def test_a_script_that_is_not_there_is_told_as_such(stepscope_cli):
    done = stepscope_cli("check", "nowhere.py", "--updates", "5")
    assert done.returncode == 2
    assert "nowhere.py" in done.stderr
