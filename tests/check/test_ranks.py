"""``torchrun -m stepscope check``: one report, by rank 0, when all ranks have ended."""

from __future__ import annotations

import json
import socket

import pytest

pytestmark = pytest.mark.slow

SCRIPT = """
    import sys
    import time
    import torch
    import torch.distributed as dist

    dist.init_process_group("gloo")
    torch.manual_seed(0)
    rank = dist.get_rank()
    model = torch.nn.parallel.DistributedDataParallel(torch.nn.Sequential(torch.nn.Linear(4, 2)))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for number in range(500):
        torch.manual_seed(10 * number + rank)
        torch.nn.functional.cross_entropy(model(torch.randn(8, 4)), torch.randint(0, 2, (8,))).backward()
        optimizer.step()
        if sys.argv[1:] == ["fail"] and rank == 1 and number == 5:
            raise RuntimeError("rank 1 has had enough")
    if sys.argv[1:] == ["late"] and rank == 1:
        time.sleep(2)
        print("late", flush=True)
    dist.destroy_process_group()
"""


@pytest.fixture
def torchrun(python):
    def run(*arguments):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        launch = ("-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", port)
        done = python(*launch, "-m", "stepscope", "check", *arguments)
        assert "defect of stepscope" not in done.stderr
        return done

    return run


def test_two_ranks_make_one_report(script, torchrun, tmp_path):
    done = torchrun("--format", "json", "--output", "found.json", "--updates", "20", script(SCRIPT))
    document = json.loads((tmp_path / "found.json").read_text())
    assert document["ranks"] == 2
    assert document["absent"] == []
    assert document["ended"]["how"] == "stopped"
    assert 20 <= document["updates"] <= 30
    assert [(f["rule"], f["line"]) for f in document["findings"] if f["evidence"] != "hint"] == [
        ("stale-gradients", 14)
    ]
    (folder,) = (tmp_path / ".stepscope" / "runs").iterdir()
    assert sorted(p.name for p in folder.glob("*.jsonl")) == ["events-rank0.jsonl", "events-rank1.jsonl"]
    assert done.returncode == 1, "torchrun's own code for a rank that does not exit with 0"
    assert "exitcode  : 1" in done.stderr
    assert "local_rank: 0" in done.stderr


def test_the_first_rank_waits_for_the_others(script, torchrun):
    done = torchrun("--updates", "all", "--select", "step-without-gradients", script(SCRIPT), "late")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("late\nAll is well: ")
    assert "in 500 updates" in done.stdout


def test_a_rank_that_fails_does_not_take_the_report_with_it(script, torchrun, tmp_path):
    done = torchrun("--format", "json", "--output", "found.json", "--updates", "all", script(SCRIPT), "fail")
    assert "RuntimeError: rank 1 has had enough" in done.stderr
    document = json.loads((tmp_path / "found.json").read_text())
    assert document["ended"]["how"] == "failed"
    assert document["findings"]
    assert "exitcode  : 3" in done.stderr
