"""However long the run: disk and memory stay bounded.

``benchmarks/record.py`` proves it for 100,000 updates; here 20,000 are run and extrapolated. All
looks, notes and stretches come ever more rarely, so what the second half adds bounds what each
further half of this length can add.
"""

from __future__ import annotations

import gc
import tracemalloc

import stepscope

LIMIT = 20_000_000  # bytes, for 100,000 updates


def tiny():
    import torch

    torch.manual_seed(0)
    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    inputs = torch.randn(8, 4)

    def update():
        optimizer.zero_grad()
        model(inputs).pow(2).mean().backward()
        optimizer.step()

    return update


def size_of(folder):
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def test_disk_of_a_long_run(record):
    update = tiny()
    sizes = {}
    with stepscope.watch(record):
        for done in range(1, 20_001):
            update()
            if done in {10, 10_000, 20_000}:
                sizes[done] = size_of(record)
    first_half, second_half = sizes[10_000] - sizes[10], sizes[20_000] - sizes[10_000]
    assert second_half < first_half / 2
    assert size_of(record) + 8 * second_half < LIMIT / 4
    run = stepscope.load(record)
    assert run.main.update_count == 20_000
    assert sum(epoch.last_update - epoch.first_update + 1 for epoch in run.epochs) == 20_000
    assert 5 <= len(run.epochs) <= 21  # a stretch of updates that is told together is not cut up


def test_memory_of_a_long_run(record):
    update = tiny()
    with stepscope.watch(record):
        for _ in range(2_000):
            update()
        gc.collect()
        tracemalloc.start()
        try:
            for _ in range(1_000):
                update()
            gc.collect()
            before = tracemalloc.get_traced_memory()[0]
            for _ in range(5_000):
                update()
            gc.collect()
            grown = tracemalloc.get_traced_memory()[0] - before
        finally:
            tracemalloc.stop()
    assert grown < 100_000  # a hundred bytes an update would be five times that


def test_many_epochs_of_one_batch(record):
    import torch

    update = tiny()
    loader = torch.utils.data.DataLoader(torch.arange(2), batch_size=2)
    sizes = {}
    with stepscope.watch(record):
        for epoch in range(1, 3_001):
            for _ in loader:
                update()
            if epoch in {10, 1_500, 3_000}:
                sizes[epoch] = size_of(record)
    assert sizes[3_000] - sizes[1_500] <= sizes[1_500] - sizes[10]
    assert sizes[3_000] < LIMIT / 4
    run = stepscope.load(record)
    assert run.main.update_count == 3_000
    assert run.epochs[-1].last_number == 3_000


def test_a_loop_that_never_steps(record, monkeypatch):
    """It is written as it goes, and from some event on it is only counted."""
    import torch

    from stepscope.observe import notes
    from stepscope.pipeline.build import what_was_seen

    monkeypatch.setattr(notes, "MOST_LOOSE", 1_000)
    model = torch.nn.Linear(4, 2)
    sizes = {}
    with stepscope.watch(record):
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)  # made, and never told to step
        for done in range(1, 2_001):
            model(torch.ones(1, 4)).sum().backward()
            if done in {20, 1_000, 2_000}:
                sizes[done] = size_of(record)
    assert not optimizer.state
    assert sizes[20] > 20 * 100
    assert sizes[2_000] == sizes[1_000] < 600_000
    ended = stepscope.load(record).main.ended
    assert ended is not None
    assert ended.left_out > 2_500
    assert "only counted" in what_was_seen(stepscope.load(record).main)


def test_an_update_of_very_many_rounds_is_one_update(record, monkeypatch):
    import torch

    from stepscope.observe import notes

    monkeypatch.setattr(notes, "MOST_LOOSE", 100)
    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with stepscope.watch(record):
        for _ in range(3):
            optimizer.zero_grad()
            for _ in range(200):
                model(torch.ones(1, 4)).sum().backward()
            optimizer.step()
    run = stepscope.load(record)
    assert run.main.update_count == 3
    assert [update.kind for update in run.updates] == ["step"] * 3
