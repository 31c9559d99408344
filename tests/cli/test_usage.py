"""Help, wrong verbs, wrong options: clear, fast, without torch."""

from __future__ import annotations

import json

import pytest

WITHOUT_TORCH = """
import sys
{do}
heavy = {{"torch", "numpy", "rich", "safetensors", "sklearn", "pandas"}} & sys.modules.keys()
assert heavy <= set([{allowed}]), heavy
"""


def without_torch(python, do, allowed=""):
    done = python("-c", WITHOUT_TORCH.format(do=do, allowed=allowed))
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_stepscope_imports_nothing_heavy(python):
    without_torch(python, "import stepscope; stepscope.StepscopeError")


@pytest.mark.parametrize("verb", [[], ["check"], ["trace"], ["show"], ["rules"], ["explain"], ["demo"]])
def test_help(python, verb):
    shown = without_torch(python, f"from stepscope.cli import cli; cli({[*verb, '--help']!r}, standalone_mode=False)")
    name = verb[0] if verb else "demo"
    assert f"stepscope {name}" in shown  # an example
    assert "Usage:" in shown
    assert max(map(len, shown.splitlines())) <= 88


@pytest.mark.parametrize("verb", [[], ["check"], ["rules"]])
def test_help_imports_no_rule(python, verb):
    do = f"from stepscope.cli import cli; cli({[*verb, '--help']!r}, standalone_mode=False)"
    without_torch(
        python, f"{do}; assert not [m for m in sys.modules if m.startswith(('stepscope.rules', 'stepscope.observe'))]"
    )


def test_rules_and_explanations_import_no_torch(python):
    do = "from stepscope.cli import cli; cli([{}], standalone_mode=False)"
    assert "stale-gradients" in without_torch(python, do.format("'rules'"), "'rich'")
    assert "Why it hurts" in without_torch(python, do.format("'explain', 'stale-gradients'"), "'rich'")


def test_loading_imports_no_torch(python, recorded):
    do = f"import stepscope; run = stepscope.load({str(recorded / 'rec')!r}); assert run.updates[2].loss"
    without_torch(python, do)


def test_showing_imports_no_torch(python, recorded):
    do = f"from stepscope.cli import cli; cli(['show', {str(recorded / 'rec')!r}], standalone_mode=False)"
    assert "Update 1" in without_torch(python, do, "'numpy', 'rich', 'safetensors'")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["tarce", "x.py"], "there is no command 'tarce'. Did you mean trace?"),
        (["train.py"], "To check a script: stepscope check train.py; to see what it does: stepscope trace train.py"),
        (["xyz"], "there is no command 'xyz'. Commands: check, trace, show, rules, explain, demo."),
        (["trace"], "name a script to run: stepscope trace SCRIPT [ARGS...]"),
        (["trace", "none.py"], "there is no file none.py (in "),
        (["trace", "."], ". is a directory; name the script to run. It holds: train.py."),
        (["trace", "-m", "no.such"], "cannot find module no.such: No module named 'no'"),
        (["trace", "-m", "nosuch"], "no module named nosuch was found"),
        (["trace", "--looks", "many", "train.py"], "must be 'auto', 'all' or a number of updates"),
        (["trace", "--record", "rec", "train.py"], "rec holds a record already; name another folder, or delete it"),
        (["trace", "--record", "train.py", "train.py"], "train.py is a file; name a folder for the record"),
        (["trace", "--output", "no/x.txt", "train.py"], "cannot write no/x.txt: there is no directory"),
        (["trace", "--output", ".", "train.py"], "'.' is a directory"),
        (["trace", "--format", "xml", "train.py"], "'xml' is not one of"),
        (["show", "none"], "none is no record of stepscope: it does not exist"),
        (["show", "."], ". is no record of stepscope: it holds no run.json"),
        (["show", "train.py"], "train.py is no record of stepscope: it is not a folder"),
        (["show"], "make one with: stepscope trace SCRIPT"),
        (["show", "rec", "--update", "4"], "update 4 was not looked at closely; these were: 1, 2, 3"),
        (["show", "rec", "--update", "0"], "0 is not in the range x>=1"),
        (["show", "rec", "--nope"], "No such option"),
        (["demo", "nothing"], "'nothing' is not one of"),
        (["demo", "mnist"], "name the folder with the MNIST files: stepscope demo mnist --data DIR"),
        (["demo", "digits", "--data", "."], "--data goes with the demo mnist, not with digits"),
        (["demo", "regression", "--epochs", "2"], "the demo regression takes neither --epochs nor --seed"),
        (["demo", "--epochs", "0"], "0 is not in the range x>=1"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else "",
)
def test_wrong_usage_is_a_sentence_and_exit_2(stepscope_cli, recorded, arguments, says):
    done = stepscope_cli(*arguments, cwd=recorded)
    assert done.returncode == 2
    assert done.stdout == ""
    assert says in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_a_newer_record_is_refused(stepscope_cli, recorded, tmp_path):
    info = json.loads((recorded / "rec" / "run.json").read_text())
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "run.json").write_text(json.dumps({**info, "schema": 99}))
    done = stepscope_cli("show", "new")
    assert done.returncode == 2
    assert done.stderr == (
        "stepscope: new was written by a newer stepscope (record schema 99; this one reads up to 1). "
        "Upgrade with: pip install --upgrade stepscope\n"
    )


def test_an_update_out_of_range_of_a_trace_keeps_the_record(stepscope_cli, recorded, tmp_path):
    done = stepscope_cli("trace", "--record", tmp_path / "r", "--update", "9", recorded / "train.py")
    assert (done.returncode, done.stdout) == (0, "trained\n")
    assert done.stderr == (
        f"stepscope: update 9 was not looked at closely; these were: 1, 2, 3; the record is in {tmp_path / 'r'}\n"
    )


def test_show_takes_the_newest_record(stepscope_cli, recorded, tmp_path):
    for _ in range(2):
        done = stepscope_cli("trace", "--no-report", recorded / "train.py")
        assert done.stdout == "trained\n"
        assert done.stderr == ""
    runs = sorted((tmp_path / ".stepscope" / "runs").iterdir(), key=lambda run: (run / "run.json").stat().st_mtime)
    assert len(runs) == 2
    assert str(runs[-1].relative_to(tmp_path)) in stepscope_cli("show").stdout
