"""Where the report goes: pipes, files, terminals of all kinds, closed streams, Ctrl-C."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time

import pytest

import stepscope

LONG = """
import sys, time
import torch
model = torch.nn.Linear(4, 2)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for update in range(100000):
    optimizer.zero_grad()
    model(torch.ones(2, 4)).pow(2).sum().backward()
    optimizer.step()
    if update == 10:
        print("READY", flush=True)
    time.sleep(0.01)
"""


@pytest.fixture
def shell(recorded, environ):
    """Run a shell line with ``$S`` as stepscope, in the folder of the record."""

    def run(line, **environment):
        return subprocess.run(
            ["/bin/bash", "-c", line.replace("$S", f"'{sys.executable}' -m stepscope")],
            cwd=recorded,
            env={**environ, **environment},
            capture_output=True,
            check=False,
            timeout=120,
        )

    return run


def test_ctrl_c(script, tmp_path):
    command = [sys.executable, "-m", "stepscope", "trace", "--record", str(tmp_path / "my rec"), str(script(LONG))]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "READY\n"
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGINT
    assert out == ""
    lines = err.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[-2:] == [
        "KeyboardInterrupt",
        f"stepscope: interrupted; show the record with: stepscope show '{tmp_path / 'my rec'}'",
    ]
    run = stepscope.load(tmp_path / "my rec")
    assert run.main.update_count >= 10
    assert run.main.ended is not None
    assert run.main.ended.reason == "interrupted"


@pytest.mark.parametrize("form", ["text", "json", "markdown"])
def test_a_reader_that_has_seen_enough(shell, form):
    """``head``: the other end of the pipe is closed before all is written."""
    done = shell(f"( sleep 1; $S show rec --format {form}; echo rc $? >&2 ) | true")
    assert done.stderr == b"rc 0\n"


@pytest.mark.parametrize("closed", ["$S show rec >&-", "$S show rec --format json >&-", "$S show rec >&- 2>&-"])
def test_closed_streams(shell, closed):
    done = shell(closed)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_a_closed_stream_while_training(shell, tmp_path):
    done = shell(f"$S trace --record {tmp_path / 'r'} train.py >&-")
    assert (done.returncode, done.stderr) == (0, b"")
    assert stepscope.load(tmp_path / "r").main.update_count == 3


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_full_disk_behind_standard_output(shell, form):
    done = shell(f"$S show rec --format {form} > /dev/full")
    assert done.returncode == 2
    assert done.stderr == b"stepscope: cannot write the trace to standard output (No space left on device)\n"


@pytest.mark.parametrize("form", ["json", "markdown"])
def test_the_report_alone_on_standard_output(shell, form, tmp_path):
    done = shell(f"$S trace --record {tmp_path / 'r'} --format {form} train.py")
    assert done.returncode == 0
    assert done.stderr == b"trained\n"
    text = done.stdout.decode()
    if form == "markdown":
        assert text.startswith("# stepscope trace: train.py\n")
        return
    document = json.loads(text, parse_constant=pytest.fail)
    assert document["updates"] == 3
    assert document["record"] == str(tmp_path / "r")


def test_a_report_into_a_file(shell, tmp_path):
    done = shell(f"$S show rec --output {tmp_path / 'trace.txt'}")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert (tmp_path / "trace.txt").read_text(encoding="utf-8").startswith("stepscope trace: train.py ───")


def test_no_codes_in_a_pipe(shell):
    plain = {"NO_COLOR": "", "FORCE_COLOR": "1"}
    assert b"\x1b" not in shell("$S show rec", **plain).stdout


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_columns(shell, columns):
    lines = shell("$S show rec", COLUMNS=str(columns)).stdout.decode().splitlines()
    assert max(map(len, lines)) <= min(columns, 120)
    rule = next(line for line in lines if line.startswith("Update 1"))
    assert len(rule) == min(columns, 120)


def test_ascii(shell):
    done = shell("$S show rec", PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"+------" in done.stdout
    assert b"clear -> forward -> loss -> backward -> step" in done.stdout
    assert done.stdout.isascii()


def test_formats_for_files_are_utf8_whatever_the_terminal(shell):
    done = shell("$S show rec --format markdown", PYTHONIOENCODING="ascii")
    assert "clear → forward → loss → backward → step" in done.stdout.decode("utf-8")


def on_a_terminal(recorded, environ, **environment):
    """What ``show`` writes to a pseudo-terminal."""
    import os
    import pty

    main, other = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "stepscope", "show", "rec"],
        cwd=recorded,
        env={**environ, "TERM": "xterm", **environment},
        stdout=other,
    )
    os.close(other)
    chunks = []
    try:
        while chunk := os.read(main, 65536):
            chunks.append(chunk)
    except OSError:
        pass  # Linux's way to say that the other end is closed
    os.close(main)
    assert process.wait() == 0
    return b"".join(chunks).replace(b"\r\n", b"\n").decode()


def test_a_terminal_has_colors_unless_told_otherwise(recorded, environ):
    colored = on_a_terminal(recorded, environ, NO_COLOR="")
    assert "\x1b[1m" in colored
    plain = on_a_terminal(recorded, environ, NO_COLOR="1")
    assert "\x1b" not in plain
    assert "\x1b" not in on_a_terminal(recorded, environ, NO_COLOR="", TERM="dumb")
    stripped = re.sub(r"\x1b\[[0-9;]*m", "", colored)
    assert [line.rstrip() for line in stripped.splitlines()] == plain.splitlines()


def test_two_runs_at_once_have_two_records(recorded, tmp_path):
    command = [sys.executable, "-m", "stepscope", "trace", "--no-report", str(recorded / "train.py")]
    both = [subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL) for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0]
    runs = list((tmp_path / ".stepscope" / "runs").iterdir())
    assert len(runs) == 2
    assert [stepscope.load(run).main.update_count for run in runs] == [3, 3]
    assert (tmp_path / ".stepscope" / ".gitignore").read_text() == "*\n"
