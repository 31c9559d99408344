"""Where a report goes."""

from __future__ import annotations

import json

import pytest

jsonschema = pytest.importorskip("jsonschema")


@pytest.mark.parametrize("form", ["json", "sarif", "markdown", "github"])
def test_the_report_alone_on_standard_output(check, training, form):
    done = check("--select", "stale-gradients", "--format", form, training())
    assert done.returncode == 1
    assert done.stderr == "epoch 0\nepoch 1\n"
    begins = {"json": "{\n", "sarif": "{\n", "markdown": "## stepscope check: ", "github": "::error file="}
    assert done.stdout.startswith(begins[form])
    if form == "json":
        from importlib.resources import files

        document = json.loads(done.stdout, parse_constant=pytest.fail)
        jsonschema.validate(document, json.loads((files("stepscope.render.findings") / "schema.json").read_text()))
        (finding,) = document["findings"]
        assert (finding["rule"], finding["line"], finding["update"]) == ("stale-gradients", 13, 2)
        assert finding["path"].endswith("train.py")
        assert document["updates"] == document["rounds"] == 8
        assert "stale-gradients" in document["asked"]


def test_a_report_into_a_file_from_a_script_that_moves(check, training, tmp_path):
    (tmp_path / "away").mkdir()
    done = check("--output", "found.md", "--format", "markdown", training(end="import os; os.chdir('away')\n"))
    assert (done.returncode, done.stderr, done.stdout) == (1, "", "epoch 0\nepoch 1\n")
    assert (tmp_path / "found.md").read_text(encoding="utf-8").startswith("## stepscope check")


def test_a_terminal_has_colors(training, tmp_path):
    import os
    import pty
    import subprocess
    import sys

    main, other = pty.openpty()
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TERM": "xterm", "NO_COLOR": "", "COLUMNS": "70"}
    command = [sys.executable, "-m", "stepscope", "check", training()]
    process = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=other)
    os.close(other)
    chunks = []
    try:
        while chunk := os.read(main, 65536):
            chunks.append(chunk)
    except OSError:
        pass  # Linux's way to say that the other end is closed
    os.close(main)
    assert process.wait() == 1
    assert "\x1b[1;31merror[stale-gradients]\x1b[0m" in b"".join(chunks).decode()


def test_paths_of_code_hosts_are_relative_to_the_checkout(check, training, tmp_path):
    (tmp_path / ".git").mkdir()
    path = training(name="deep/er/train.py")
    done = check("--format", "github", "--select", "stale-gradients", path.name, cwd=path.parent)
    assert done.stdout.startswith("::error file=deep/er/train.py,line=13,endLine=13,title=stale-gradients (proof)::")
