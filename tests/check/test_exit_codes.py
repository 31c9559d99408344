"""How a check ends, and what it says then."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys

import pytest

import stepscope

#: Tests that count findings ask few rules, whatever others come to find in so small a script.
FEW = ("--select", "stale-gradients,step-without-gradients")
ALL_WELL = re.compile(
    r"All is well: \d+ rules found nothing in 8 updates of \S+; \d+ had nothing to judge \(--verbose\)"
)


def test_nothing_found_is_one_line_and_0(check, training):
    done = check(training(clear=True))
    assert (done.returncode, done.stderr) == (0, "")
    *printed, line = done.stdout.splitlines()
    assert printed == ["epoch 0", "epoch 1"]
    assert ALL_WELL.fullmatch(line), line


def test_findings_are_1(check, training, tmp_path):
    done = check(*FEW, "train.py", cwd=training().parent)
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.startswith("epoch 0\nepoch 1\nerror[stale-gradients] (proof): ")
    assert " --> train.py:13, first in update 2\n" in done.stdout
    assert "\n13 |         loss.backward()\n   |         ^^^^^^^^^^^^^^^\n" in done.stdout
    assert "Found 1 error in 8 updates of train.py\n" in done.stdout
    (folder,) = (tmp_path / ".stepscope" / "runs").iterdir()
    assert f"Record: {folder.relative_to(tmp_path)}\n" in done.stdout


def test_a_script_is_stopped_after_so_many_updates(check, training, tmp_path):
    path = training(epochs=10_000, end="print('never')\n")
    done = check("--updates", "5", "--record", "rec", "--format", "json", path, "an", "--argument")
    assert done.returncode == 1
    assert "never" not in done.stderr
    assert "Traceback" not in done.stderr
    document = json.loads(done.stdout)
    assert document["updates"] == 5
    assert document["ended"] == {"how": "stopped", "message": ""}
    run = stepscope.load(tmp_path / "rec")
    assert run.main.ended.reason == "stopped"
    assert run.info.arguments == ["an", "--argument"]


def test_a_script_that_will_not_be_stopped_counts_as_stopped(check, training):
    text = (
        training(epochs=10_000, clear=True).read_text().replace("import torch\n", "import sys, torch\ntry:\n  0\n", 1)
    )
    body, _, rest = text.partition("  0\n")
    indented = "".join(f"  {line}\n" for line in rest.splitlines())
    path = training(name="stubborn.py")
    path.write_text(f"{body}{indented}except BaseException:\n  raise RuntimeError('no result') from None\n")
    done = check("--updates", "3", path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "in the first 3 updates" in done.stdout


@pytest.mark.parametrize(
    ("end", "says", "shows"),
    [
        ("raise RuntimeError('enough')\n", "the script failed (RuntimeError: enough)", "RuntimeError: enough"),
        ("import sys; sys.exit(7)\n", "the script failed (exit code 7)", ""),
        ("raise SystemExit('bad luck')\n", "the script failed (bad luck)", "bad luck"),
    ],
)
def test_a_script_that_fails_is_3_and_its_findings_are_told(check, training, python, end, says, shows):
    path = training(end=end)
    done, bare = check(*FEW, path), python(path)
    assert done.returncode == 3
    assert done.stderr == bare.stderr  # the traceback as Python shows it, without a frame of ours
    assert done.stderr.strip().endswith(shows)
    assert "error[stale-gradients]" in done.stdout
    assert f"Found 1 error in 8 updates of {path.name}; {says}" in done.stdout.replace(f"{path.parent}/", "")


def test_a_script_that_exits_with_0_did_not_fail(check, training):
    done = check(training(clear=True, end="import sys; sys.exit(0)\n"))
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("text", ["print('hello')", "import torch\nprint(torch.ones(2))"])
def test_without_an_update_all_is_not_well(check, script, text):
    done = check("script.py", cwd=script(text).parent)
    assert done.returncode == 2
    *_, says, asks, record = done.stdout.splitlines()
    assert says == "No update was seen in script.py: nothing could be checked"
    assert asks == "Is this the program that trains, and has it all the arguments it needs?"
    assert record.startswith("Record: ")


def test_a_syntax_error_is_pythons_own_and_3(check, script, python):
    path = script("def f(:\n    pass\n")
    done = check(path)
    assert (done.returncode, done.stdout, done.stderr) == (3, "", python(path).stderr)


def test_ctrl_c_is_130_with_the_findings_so_far(training, tmp_path):
    path = training(epochs=100_000, end="").read_text().replace("print(", "__import__('time').sleep(0.01) or print(")
    (tmp_path / "train.py").write_text(path)
    command = [sys.executable, "-m", "stepscope", "check", *FEW, "--updates", "all", "--record", "rec", "train.py"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    while process.stdout.readline() != "epoch 3\n":
        pass
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err == ""
    assert "error[stale-gradients]" in out
    assert re.search(r"Found 1 error in \d+ updates of train.py; interrupted\n", out)
    assert stepscope.load(tmp_path / "rec").main.ended.reason == "interrupted"


def test_threads_and_exit_handlers_come_before_the_report(check, training):
    done = check(
        training(
            clear=True,
            end="""
            import atexit, threading, time
            atexit.register(print, "handler")
            threading.Thread(target=lambda: (time.sleep(0.5), print("thread"))).start()
            print("main")
            """,
        )
    )
    assert done.returncode == 0
    assert done.stdout.splitlines()[2:5] == ["main", "thread", "handler"]
    assert done.stdout.splitlines()[5].startswith("All is well")


def test_a_thread_that_waits_for_ever_does_not_keep_a_stopped_script(check, training):
    text = training(epochs=10_000, clear=True).read_text()
    path = training(name="waiting.py")
    path.write_text("import queue, threading\nthreading.Thread(target=queue.Queue().get).start()\n" + text)
    done = check(*FEW, "--updates", "3", path, timeout=120)
    assert done.returncode == 0
    assert done.stderr == "stepscope: threads of the script are still waiting; left alone\n"
    assert done.stdout.startswith("All is well: ")


def test_training_in_a_thread_is_stopped_there(check, training):
    text = "".join(f"  {line}\n" for line in training(epochs=10_000).read_text().splitlines())
    path = training(name="threaded.py")
    path.write_text(
        f"import threading, torch, torch.optim\ndef train():\n{text}\nthreading.Thread(target=train).start()\n"
    )
    done = check(*FEW, "--updates", "5", path)
    assert (done.returncode, done.stderr) == (1, "")
    assert "Found 1 error in the first 5 updates" in done.stdout


def test_what_python_does_at_its_end_is_done(check, training, tmp_path):
    """A file that is never closed is written out only when the interpreter is taken down."""
    check(training(end="log = open('log.txt', 'w')\nlog.write('kept')\n"))
    assert (tmp_path / "log.txt").read_text() == "kept"


def test_a_child_that_the_script_forks_reports_nothing(check, training):
    done = check(training(clear=True, end="import os\nif os.fork():\n    os.wait()\nelse:\n    print('child')\n"))
    assert done.returncode == 0
    assert done.stdout.count("All is well") == 1
    assert "child" in done.stdout


def test_modules_beside_the_script_do_not_stand_in_for_ours(check, training):
    path = training()
    (path.parent / "away").mkdir()
    for name in ("rich", "pygments"):
        (path.parent / f"{name}.py").write_text("raise RuntimeError('not this one')\n")
    done = check(*FEW, path, cwd=path.parent / "away")
    assert done.returncode == 1, done.stderr
    assert "Found 1 error" in done.stdout
