"""torchrun: one run folder, an events file per rank, one report, the script's own exit code."""

from __future__ import annotations

import json
import re
import socket

import pytest

import stepscope

pytestmark = pytest.mark.slow

SCRIPT = """
    import gc
    import sys
    import torch
    import torch.distributed as dist
    dist.init_process_group("gloo")
    torch.manual_seed(0)
    rank = dist.get_rank()
    model = torch.nn.parallel.DistributedDataParallel(torch.nn.Sequential(torch.nn.Linear(4, 2)))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for number in range(4):
        torch.manual_seed(10 * number + rank)
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(torch.randn(8, 4)), torch.randint(0, 2, (8,))).backward()
        optimizer.step()
    total = sum(p.detach().double().sum().item() for p in model.parameters())
    if rank == 0:
        print("weights", total.hex())
    # A group that outlives its model, or ends while the other rank still talks, may abort in C++.
    del model, optimizer
    gc.collect()
    dist.barrier()
    dist.destroy_process_group()
    if len(sys.argv) > 1 and rank == 1:
        sys.exit(int(sys.argv[1]))
"""


def torchrun(python, *arguments):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    launch = ("-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", port)
    return python(*launch, *arguments)


def test_two_ranks_make_one_run(script, python, tmp_path):
    path = script(SCRIPT)
    bare = torchrun(python, path)
    watched = torchrun(python, "-m", "stepscope", "trace", path)
    assert bare.returncode == watched.returncode == 0, watched.stderr
    weights = re.findall("weights .*", bare.stdout)
    assert re.findall("weights .*", watched.stdout) == weights
    assert watched.stdout.count("stepscope trace: ") == 1, "the report comes once"
    (folder,) = (tmp_path / ".stepscope" / "runs").iterdir()
    assert sorted(p.name for p in folder.glob("*.json*")) == ["events-rank0.jsonl", "events-rank1.jsonl", "run.json"]
    assert json.loads((folder / "run.json").read_text())["ranks"] == 2
    run = stepscope.load(folder)
    assert run.ranks == [0, 1]
    assert [run.rank(rank).update_count for rank in run.ranks] == [4, 4]
    assert "defect" not in (folder / "events-rank0.jsonl").read_text() + watched.stderr


def test_a_rank_that_fails_fails_the_launch(script, python, tmp_path):
    path = script(SCRIPT)
    bare = torchrun(python, path, 3)
    watched = torchrun(python, "-m", "stepscope", "trace", "--no-report", "--record", tmp_path / "rec", path, 3)
    assert bare.returncode == watched.returncode == 1
    for done in (bare, watched):
        assert re.search(r"rank\s*: 1", done.stderr)
        assert re.search(r"exitcode\s*: 3", done.stderr)
    assert [stepscope.load(tmp_path / "rec").rank(rank).update_count for rank in (0, 1)] == [4, 4]
