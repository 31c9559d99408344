"""Which rules are asked, what a project says of it, and what a comment waves off."""

from __future__ import annotations

import json

import pytest

from stepscope.checking.selection import choose, unknown
from stepscope.checking.suppression import comments_in, wave_off
from stepscope.cli import config
from stepscope.errors import UsageError

NAMES = ["double-softmax", "double-step", "stale-gradients", "step-without-gradients"]


@pytest.mark.parametrize(
    ("selected", "ignored", "left"),
    [
        ([], [], NAMES),
        (["stale-gradients", "double-step"], [], ["double-step", "stale-gradients"]),
        ([], ["double-step"], ["double-softmax", "stale-gradients", "step-without-gradients"]),
        (["double-step", "stale-gradients"], ["double-step"], ["stale-gradients"]),
    ],
)
def test_choosing(selected, ignored, left):
    assert choose(NAMES, selected, ignored) == left


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("stale-gradient", "there is no rule 'stale-gradient'. Did you mean stale-gradients"),
        ("Stale_Gradients", "there is no rule 'Stale_Gradients'. Did you mean stale-gradients"),
        ("E501", "there is no rule 'E501'. stepscope rules lists them all."),
    ],
)
def test_an_unknown_rule_is_told_with_the_nearest_names(name, says):
    assert unknown(name, NAMES).startswith(says)
    for selected, ignored in (([name], []), ([], [name])):
        with pytest.raises(UsageError, match="there is no rule"):
            choose(NAMES, selected, ignored)


def test_no_rule_left():
    with pytest.raises(UsageError, match="no rule is left"):
        choose(NAMES, ["double-step"], ["double-step"])


# pyproject.toml


@pytest.fixture
def project_says(tmp_path):
    def write(text, below="."):
        (tmp_path / "pyproject.toml").write_text(text)
        (tmp_path / below).mkdir(parents=True, exist_ok=True)
        return config.find(tmp_path / below)

    return write


def test_settings(project_says, tmp_path):
    settings = project_says('[tool.stepscope]\nselect = ["a"]\nignore = ["b", "c"]\nupdates = 50\nseconds = 2.5')
    assert settings == config.Settings(tmp_path / "pyproject.toml", ("a",), ("b", "c"), 50, 2.5)
    assert project_says('[tool.stepscope]\nupdates = "all"').updates == "all"


def test_the_nearest_file_that_says_something_counts(project_says, tmp_path):
    (tmp_path / "inner" / "deep").mkdir(parents=True)
    (tmp_path / "inner" / "pyproject.toml").write_text("[tool.other]\n")
    assert project_says("[tool.stepscope]\nupdates = 7", "inner/deep").updates == 7
    (tmp_path / "inner" / "pyproject.toml").write_text("[tool.stepscope]\n")
    assert project_says("[tool.stepscope]\nupdates = 7", "inner/deep").updates is None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[tool.stepscope]\nselects = []", "has no key 'selects'. Did you mean select?"),
        ("[tool.stepscope]\nx = 1", "has no key 'x'. There are select, ignore, updates, seconds."),
        ("[tool.stepscope]\nselect = 'a'", "select in [tool.stepscope] must be a list of rules"),
        ("[tool.stepscope]\nignore = [1]", "ignore in [tool.stepscope] must be a list of rules"),
        ("[tool.stepscope]\nupdates = 0", "updates in [tool.stepscope] must be a number of updates from 1, or 'all'"),
        ("[tool.stepscope]\nupdates = true", "updates in [tool.stepscope] must be"),
        ("[tool.stepscope]\nseconds = -1", "seconds in [tool.stepscope] must be a number above 0"),
        ("[tool]\nstepscope = 3", "tool.stepscope must be a table"),
        ("[tool.stepscope", "is no TOML"),
    ],
)
def test_settings_that_cannot_be(project_says, text, says):
    with pytest.raises(UsageError) as error:
        project_says(text)
    assert says in str(error.value)
    assert "pyproject.toml" in str(error.value)


# Comments

COMMENTED = '''\
a = 1  # stepscope: ignore
text = "# stepscope: ignore"
b = 2  # noqa: F841  # stepscope: ignore[stale-gradients, double-step]
c = call(
    3,  # stepscope: ignore[double-softmax]
    4,
)  # stepscope:ignore[stale-gradients]
d = """
# stepscope: ignore
"""
e = 5  # stepscope: ignored
f = 6  # stepscope: ignore[]
g = 7  # stepscope: ignore[stale-gradients
# stepscope: ignore
h = 8
'''


def test_comments_are_read_from_tokens(tmp_path):
    path = tmp_path / "commented.py"
    path.write_text(COMMENTED)
    read = [(c.line, c.first, c.rules, c.is_closed) for c in comments_in(str(path))]
    assert read == [
        (1, 1, (), True),
        (3, 3, ("stale-gradients", "double-step"), True),
        (5, 5, ("double-softmax",), True),
        (7, 4, ("stale-gradients",), True),
        (12, 12, (), False),
        (13, 13, ("stale-gradients",), False),
        (14, 14, (), True),
    ]


@pytest.mark.parametrize(
    ("line", "rule", "is_waved_off"),
    [
        (1, "stale-gradients", True),
        (2, "stale-gradients", False),
        (3, "stale-gradients", True),
        (3, "double-softmax", False),
        (4, "stale-gradients", True),
        (4, "double-softmax", False),
        (5, "double-softmax", True),
        (6, "double-softmax", False),
        (6, "stale-gradients", True),
        (9, "stale-gradients", False),
        (11, "stale-gradients", False),
        (12, "stale-gradients", False),
        (13, "stale-gradients", False),
        (15, "stale-gradients", False),
    ],
)
def test_what_a_comment_waves_off(tmp_path, make_finding, line, rule, is_waved_off):
    path = tmp_path / "commented.py"
    path.write_text(COMMENTED)
    waved = wave_off([make_finding(path, rule=rule, line=line)], {str(path): comments_in(str(path))})
    assert (len(waved.left), len(waved.suppressed)) == ((0, 1) if is_waved_off else (1, 0))


@pytest.mark.parametrize("data", [b"x = '\xff'  # stepscope: ignore\n", b"\x00", b"# coding: nonsense\n"])
def test_a_file_that_is_no_python_has_no_comments(tmp_path, data):
    (tmp_path / "odd.py").write_bytes(data)
    assert comments_in(str(tmp_path / "odd.py")) == []
    assert comments_in(str(tmp_path / "none.py")) == []


# On the command line


def test_a_waved_off_finding_is_counted(check, training):
    done = check(training(comment="  # stepscope: ignore[stale-gradients]"))
    assert (done.returncode, done.stderr) == (0, "")
    line = done.stdout.splitlines()[-1]
    assert line.startswith("All is well")
    assert " (1 suppressed)" in line
    verbose = check("--verbose", training(comment="  # stepscope: ignore"))
    assert verbose.returncode == 0
    assert "error[stale-gradients] (proof, suppressed): " in verbose.stdout


def test_an_unknown_rule_in_a_comment_is_a_warning(check, training):
    path = training(comment="  # stepscope: ignore[stale-gradient]")
    done = check("--format", "json", path)
    assert done.returncode == 1
    said = [line for line in done.stderr.splitlines() if line.startswith("stepscope: ")]
    assert len(said) == 1
    assert said[0].startswith(
        f"stepscope: {path}:13: `# stepscope: ignore`: there is no rule 'stale-gradient'. Did you mean stale-gradients"
    )


def test_a_project_ignores_a_rule_and_the_command_line_asks_others(check, training, tmp_path):
    path = training(name="src/train.py")
    (tmp_path / "pyproject.toml").write_text('[tool.stepscope]\nignore = ["stale-gradients"]\nupdates = 3\n')
    document = json.loads(check("--format", "json", path).stdout)
    assert document["updates"] == 3
    assert "stale-gradients" not in document["asked"]
    done = check("--format", "json", "--updates", "4", "--select", "double-step,step-without-gradients", path)
    document = json.loads(done.stdout)
    assert document["updates"] == 4
    assert document["asked"] == ["double-step", "step-without-gradients"]


def test_no_probe_makes_no_forward_of_our_own(check, training):
    path = training(clear=True)
    with_probe, without = (
        json.loads(check("--format", "json", *option, path).stdout) for option in ((), ("--no-probe",))
    )
    assert "mixed-samples" not in with_probe["unjudged"]
    assert "mixed-samples" in without["unjudged"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--select", "stale-gradient", "train.py"], "there is no rule 'stale-gradient'. Did you mean stale-gradients"),
        (["--ignore", "x", "train.py"], "there is no rule 'x'"),
        (["--updates", "0", "train.py"], "must be 'all' or a number of updates from 1"),
        (["--updates", "many", "train.py"], "must be 'all' or a number of updates from 1"),
        (["--seconds", "-1", "train.py"], "must be a number of seconds above 0"),
        (["--seconds", "nan", "train.py"], "must be a number of seconds above 0"),
        (["--format", "xml", "train.py"], "'xml' is not one of"),
        (["--output", "no/x.txt", "train.py"], "cannot write no/x.txt: there is no directory"),
        (["none.py"], "there is no file none.py"),
        ([], "name a script to run: stepscope check SCRIPT [ARGS...]"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else "",
)
def test_wrong_usage_is_a_sentence_and_2(check, training, arguments, says):
    training()
    done = check(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert says in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
