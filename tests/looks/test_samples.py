"""What a thorough watch tells of samples: hashes, indices, draws, what was rewritten; and that it changes nothing."""

from __future__ import annotations

import random
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, Subset, TensorDataset

import stepscope
from stepscope.observe.schedule import Plan
from stepscope.observe.thorough.marks import MOST_ROWS, Marking
from stepscope.observe.watch import Watch
from stepscope.record import events as ev


@pytest.fixture
def seen(record):
    """Watch a function as ``check`` does; return the events of one kind."""

    def run(function, kind=ev.SamplesSeen):
        with Watch(record, Plan(thorough=200, looks=0)):
            function()
        main = stepscope.load(record).main
        assert list(main.of(ev.Defect)) == []
        return list(main.of(kind))

    return run


# Marks.


@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.uint8]
)
def test_equal_samples_have_equal_hashes_and_others_have_not(dtype):
    samples = torch.arange(600).reshape(100, 6).remainder(251).to(dtype)
    order = torch.randperm(100, generator=torch.Generator().manual_seed(0))
    first, second = Marking(samples).mark(), Marking(samples[order]).mark()
    assert [first.rows[place] for place in order.tolist()] == second.rows
    assert len(set(first.rows)) == len({tuple(row) for row in samples.tolist()})


def test_neighbours_of_all_bits_have_hashes_of_their_own():
    bits = ((torch.arange(256)[:, None] >> torch.arange(8)) & 1).float()
    assert len(set(Marking(bits).mark().rows)) == 256


def test_a_hash_is_the_same_in_every_process():
    code = "import torch; from stepscope.observe.thorough.marks import Marking; print(Marking(torch.ones(2, 3)).mark().rows[0])"
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert int(there) == Marking(torch.ones(1, 3)).mark().rows[0]


def test_large_batches_keep_the_smallest_hashes_so_that_parts_can_be_found():
    generator = torch.Generator().manual_seed(0)
    samples = torch.randn(2000, 3, generator=generator)
    whole, part = Marking(samples).mark(), Marking(samples[:500]).mark()
    assert len(whole.rows) == len(part.rows) == MOST_ROWS
    assert not whole.whole
    limit = max(whole.rows)
    assert {row for row in part.rows if row <= limit} <= set(whole.rows)


def test_numbers_against_torch():
    samples = torch.randn(40, 5, generator=torch.Generator().manual_seed(0))
    mark = Marking(samples, "x").mark()
    assert (mark.name, mark.shape, mark.dtype, mark.grain, mark.thinned) == ("x", [40, 5], "float32", 1.0, False)
    assert mark.mean == pytest.approx(float(samples.double().mean()), abs=1e-6)
    assert mark.std == pytest.approx(float(samples.double().std(correction=0)), rel=1e-5)
    assert (mark.low, mark.high) == (float(samples.min()), float(samples.max()))


def test_single_numbers_are_told_as_they_are():
    mark = Marking(torch.tensor([3, 1, 2])).mark()
    assert (mark.values, mark.rows, mark.labels, mark.whole) == ([3, 1, 2], [], True, True)
    assert not Marking(torch.tensor([0.5, 1.0])).mark().labels


@pytest.mark.parametrize("odd", [torch.zeros(0, 3), torch.zeros(3, 0), torch.zeros(2, 2).to_sparse()])
def test_what_holds_no_numbers_is_told_by_its_shape(odd):
    mark = Marking(odd).mark()
    assert (mark.low, mark.samples) == (None, [])


# Batches.


class Noisy(Dataset):
    def __init__(self):
        self.inputs = torch.arange(24.0).reshape(12, 2)
        self.own = np.random.default_rng(0)
        self.library = ""

    def __len__(self):
        return 12

    def __getitem__(self, index):
        if self.library == "torch":
            torch.rand(())
        elif self.library == "numpy":
            np.random.rand()  # noqa: NPY002
        elif self.library == "python":
            random.random()  # noqa: S311
        elif self.library == "dataset.own":
            self.own.random()
        return self.inputs[index].clone()


@pytest.mark.parametrize("library", ["", "torch", "numpy", "python", "dataset.own"])
def test_what_fetching_draws_from_is_told_and_what_shuffling_draws_is_not(seen, library):
    dataset = Noisy()
    dataset.library = library
    batches = seen(lambda: list(DataLoader(dataset, batch_size=4, shuffle=True)))
    assert [batch.drew for batch in batches] == [[library] if library else []] * 3


@pytest.mark.parametrize("workers", [0, 2])
def test_indices_are_those_of_the_dataset_below(seen, workers):
    part = Subset(Subset(TensorDataset(torch.arange(20.0)[:, None].repeat(1, 2)), range(0, 20, 2)), [9, 7, 5, 3, 1])
    loader = DataLoader(part, batch_size=2, num_workers=workers)
    batches = seen(lambda: [list(loader), list(loader)])
    assert [batch.indices for batch in batches] == [[18, 14], [10, 6], [2]] * 2


def test_a_pass_that_was_left_early_does_not_shift_the_next_one(seen):
    loader = DataLoader(TensorDataset(torch.zeros(8, 2)), batch_size=2, num_workers=2, persistent_workers=True)

    def run():
        for _ in range(2):
            for place, _batch in enumerate(loader):
                if place == 1:
                    break

    assert [batch.indices for batch in seen(run)] == [[0, 1], [2, 3]] * 2


def test_the_maker_of_a_loader_is_the_script(seen):
    class Mine(DataLoader):
        def __init__(self, dataset):
            super().__init__(dataset, batch_size=4)

    def run():
        loader = Mine(TensorDataset(torch.zeros(8, 2)))
        list(loader)

    (studied,) = seen(run, ev.LoaderStudied)
    assert (studied.made_file, studied.made_line) == (__file__, run.__code__.co_firstlineno + 1)
    assert (studied.cls, studied.samples, studied.order) == ("TensorDataset", 8, "SequentialSampler")


def test_the_stored_samples_that_fetching_changes_are_named(seen):
    class Changed(Noisy):
        def __getitem__(self, index):
            self.inputs[index] *= 2
            return self.inputs[index]

    batches = seen(lambda: list(DataLoader(Changed(), batch_size=4)))
    assert batches[1].stored == "inputs"
    assert sorted(batches[1].rewrote) == [4, 5, 6, 7]


# The watch changes nothing.


def train(workers):
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002
    random.seed(0)
    dataset = Noisy()
    dataset.library = "torch"
    model = nn.Sequential(nn.Linear(2, 3), nn.Dropout(0.2), nn.Linear(3, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.001)
    loader = DataLoader(dataset, batch_size=3, shuffle=True, num_workers=workers)
    for _ in range(2):
        for batch in loader:
            optimizer.zero_grad()
            nn.functional.mse_loss(model(batch), batch).backward()
            optimizer.step()
    weights = [parameter.detach().clone() for parameter in model.parameters()]
    states = (torch.get_rng_state().tolist(), str(np.random.get_state()), random.getstate())  # noqa: NPY002
    return weights, states, str(dataset.own.bit_generator.state)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_thorough_watch_leaves_weights_and_generators_to_the_bit(record, workers):
    bare = train(workers)
    with Watch(record, Plan(thorough=200)):
        watched = train(workers)
    assert all(torch.equal(a, b) for a, b in zip(bare[0], watched[0], strict=True))
    assert bare[1:] == watched[1:]


def test_nothing_is_noted_without_need(record):
    with stepscope.watch(record) as watched:
        train(0)
    kinds = (ev.SamplesSeen, ev.LoaderMade, ev.LoaderStudied)
    assert not [event for event in watched.run.main.events if isinstance(event, kinds)]


def test_what_a_dataset_raises_passes_through(record):
    class Failing(Noisy):
        def __getitem__(self, index):
            raise LookupError(index)

    with Watch(record, Plan(thorough=200)), pytest.raises(LookupError):
        next(iter(DataLoader(Failing(), batch_size=2)))
    assert list(stepscope.load(record).main.of(ev.Defect)) == []
