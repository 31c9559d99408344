"""What is left of a record when the process is killed, or the disk gives up; and of the training."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time

import pytest

import stepscope
from stepscope.observe.watch import Watch

TRAIN = """
import sys, time
import torch
torch.manual_seed(0)
model = torch.nn.Linear(64, 64)
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
for update in range(int(sys.argv[1])):
    optimizer.zero_grad()
    loss = (model(torch.ones(4, 64)) ** 2).mean()
    loss.backward()
    optimizer.step()
    time.sleep(float(sys.argv[2]))
    if update == 12:
        print("READY", flush=True)
print(f"{loss.item():.9f} {model.weight.sum().item():.9f}")
"""


@pytest.fixture
def bare(script, python):
    """What the script prints when nobody watches."""
    return python(script(TRAIN), "15", "0").stdout


def warnings_of(done):
    return [line for line in done.stderr.splitlines() if "recording stops" in line]


def test_kill_9_in_the_middle(script, stepscope_cli, tmp_path):
    path = script(TRAIN)
    command = [sys.executable, "-m", "stepscope", "trace", "--record", str(tmp_path / "rec"), path, "100000", "0.05"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "READY\n"
    time.sleep(2.5)  # a stretch of updates is told every two seconds
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    data = (tmp_path / "rec" / "events-rank0.jsonl").read_bytes()
    complete = data[: data.rfind(b"\n") + 1].splitlines()
    assert all("event" in json.loads(line) for line in complete)
    shown = stepscope_cli("show", tmp_path / "rec")
    assert shown.returncode == 0
    assert shown.stderr == ""
    assert "Update 1 by optimizer" in shown.stdout
    assert "the record has no end: the script was killed, or is still running" in " ".join(shown.stdout.split())
    assert stepscope.load(tmp_path / "rec").main.update_count >= 12


def test_a_full_disk_stops_the_record_and_not_the_training(script, python, tmp_path, bare):
    """A limit on the size of files, as a disk that fills up: every write beyond it fails."""
    limited = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000)); sys.argv[:] = sys.argv[1:];"
        "sys.orig_argv[:] = sys.argv; from stepscope.cli import main; main()"
    )
    done = python("-c", limited, "stepscope", "trace", "--record", tmp_path / "rec", script(TRAIN), "15", "0")
    assert done.returncode == 0
    assert done.stdout.startswith(bare)
    assert done.stderr == (
        f"stepscope: cannot write the record to {tmp_path / 'rec'} (File too large); "
        "recording stops, your training goes on\n"
    )
    assert "Update 1 by optimizer" in done.stdout  # what was recorded until then
    assert "the record has no end" in done.stdout


@pytest.mark.parametrize("after", [0, 3])
def test_no_space_left(monkeypatch, capfd, record, after):
    """The operating system refuses from some write on; within this process."""
    import torch

    calls = []
    write = os.write

    def fails(descriptor, data):
        calls.append(descriptor)
        if len(calls) > after:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(descriptor, data)

    def train():
        torch.manual_seed(0)
        model = torch.nn.Linear(3, 1)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(20):
            optimizer.zero_grad()
            model(torch.ones(2, 3)).pow(2).sum().backward()
            optimizer.step()
        return model.weight.detach()

    expected = train()
    monkeypatch.setattr(os, "write", fails)
    with stepscope.watch(record) as watch:
        weights = train()
    monkeypatch.undo()
    assert torch.equal(weights, expected)
    assert watch.failed is not None
    assert len(calls) == after + 1  # it is not tried again
    assert capfd.readouterr().err == (
        f"stepscope: cannot write the record to {record} (No space left on device); "
        "recording stops, your training goes on\n"
    )
    assert watch.run.main.ended is None


def test_a_write_that_takes_only_a_part_is_continued(monkeypatch, record, watched):
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, bytes(data)[:7]))

    def train():
        import torch

        weight = torch.zeros(3, requires_grad=True)
        optimizer = torch.optim.SGD([weight], lr=0.1)
        for _ in range(3):
            optimizer.zero_grad()
            weight.sum().backward()
            optimizer.step()

    assert len(watched(train).updates) == 3
    lines = (record / "events-rank0.jsonl").read_text().splitlines()
    assert json.loads(lines[-1])["event"] == "run-ended"


def test_a_folder_that_cannot_be_made(script, stepscope_cli, tmp_path, bare):
    """Below a file: no user, root neither, can make a folder there."""
    (tmp_path / "file").write_text("")
    folder = tmp_path / "file" / "record"
    done = stepscope_cli("trace", "--record", folder, script(TRAIN), "15", "0")
    assert (done.returncode, done.stdout) == (0, bare)
    assert done.stderr == (
        f"stepscope: cannot write the record to {folder} (Not a directory); recording stops, your training goes on\n"
        f"stepscope: nothing was recorded: {folder} cannot be written (Not a directory)\n"
    )


def test_a_folder_that_goes_away(monkeypatch, capfd, record):
    """Values of looks have files of their own: their folder is gone in the middle."""
    import shutil

    import torch

    weight = torch.zeros(3, requires_grad=True)
    optimizer = torch.optim.SGD([weight], lr=0.1)
    with stepscope.watch(record, looks="all") as watch:
        for update in range(6):
            optimizer.zero_grad()
            torch.nn.functional.mse_loss(torch.nn.Identity()(weight), torch.ones(3)).backward()
            optimizer.step()
            if update == 2:
                shutil.rmtree(record)
    assert watch.failed is not None
    assert capfd.readouterr().err.count("recording stops, your training goes on") == 1
    assert not torch.equal(weight, torch.zeros(3))
    with pytest.raises(stepscope.StepscopeError, match="nothing was recorded"):
        _ = watch.run


def test_two_watches_cannot_be_open_at_once(record):
    with stepscope.watch(record), pytest.raises(stepscope.StepscopeError, match="already open"):
        Watch(record, plan=None).start()  # type: ignore[arg-type]


def test_a_forked_child_writes_nothing(record):
    import torch

    weight = torch.zeros(3, requires_grad=True)
    optimizer = torch.optim.SGD([weight], lr=0.1)

    def train():
        for _ in range(3):
            optimizer.zero_grad()
            weight.sum().backward()
            optimizer.step()

    with stepscope.watch(record) as watch:
        train()
        child = os.fork()
        if child == 0:
            try:
                optimizer.step()
            finally:
                os._exit(7)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        train()
    lines = [json.loads(line) for line in (record / "events-rank0.jsonl").read_text().splitlines()]
    assert sum(line["event"] == "run-ended" for line in lines) == 1
    assert watch.run.main.update_count == 6
