"""A watched script is ended once enough of it was seen: cleanly, where an update ends."""

from __future__ import annotations

import threading
from contextlib import suppress

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from stepscope.observe.schedule import MORE, Limits, Plan
from stepscope.observe.stopping import HEADWAY, Stopper
from stepscope.observe.watch import Watch


@pytest.fixture
def ended(record):
    """Run a function until it is ended; return its Watch and how often it was told to end."""

    def run(function, **limits):
        watch = Watch(record, Plan(thorough=200, limits=Limits(**limits)))
        with watch, suppress(SystemExit):
            function()
        assert watch.run.main.ended is not None
        return watch

    return run


def loop(updates, *, evaluate_every=0, batches=0, seen=None):
    model = nn.Linear(4, 2)
    step = torch.optim.SGD(model.parameters(), 0.1)
    data = TensorDataset(torch.randn(4 * max(batches, 1), 4), torch.randint(2, (4 * max(batches, 1),)))
    made = 0
    try:
        while made < updates:
            loader = DataLoader(data, batch_size=4) if batches else [data[:4]]
            for inputs, targets in loader:
                step.zero_grad()
                nn.functional.cross_entropy(model(inputs), targets).backward()
                step.step()
                made += 1
                if evaluate_every and made % evaluate_every == 0:
                    with torch.no_grad():
                        model(inputs)
    finally:
        if seen is not None:
            seen.append(made)


def test_a_short_script_ends_by_itself(ended):
    watch = ended(lambda: loop(50))
    assert not watch.stopper.stopped
    assert watch.run.main.update_count == 50


def test_exactly_so_many_updates_where_that_is_asked_for(ended):
    seen = []
    watch = ended(lambda: loop(500, seen=seen), updates=37, patient=False)
    assert watch.stopper.stopped
    assert watch.run.main.update_count == 37
    assert seen == [36], "ended inside the step, before the next line, through ``finally``"


def test_without_loader_and_evaluation_it_is_not_waited_for_ever(ended):
    assert ended(lambda: loop(5000), updates=40).run.main.update_count == 80


def test_an_evaluation_is_waited_for(ended):
    watch = ended(lambda: loop(5000, evaluate_every=60), updates=40)
    # An evaluation is known to be one when the next round goes backward.
    assert watch.run.main.update_count in {60 + MORE, 61 + MORE}
    assert len(watch.run.evaluations) == 1


def test_the_start_of_a_second_epoch_is_waited_for(ended):
    watch = ended(lambda: loop(5000, batches=75), updates=40)
    assert watch.run.main.update_count in {75 + MORE, 76 + MORE}


def test_time_ends_it_wherever_it_is(ended):
    watch = ended(lambda: loop(10**9, batches=10**4), updates=10**6, seconds=0.3)
    assert watch.stopper.stopped
    assert watch.run.main.update_count > 3


def test_rounds_are_counted_where_no_optimizer_steps(ended):
    def train():
        weight = torch.randn(4, requires_grad=True)
        while True:
            (weight**2).sum().backward()
            with torch.no_grad():
                weight.sub_(weight.grad * 0.1)
            weight.grad = None

    assert ended(train, updates=30, patient=False).run.main.round_count == 30


def test_a_forgotten_step_is_ended_as_well(ended):
    def train():
        model = nn.Linear(4, 2)
        torch.optim.SGD(model.parameters(), 0.1).zero_grad()
        while True:
            model(torch.randn(2, 4)).sum().backward()

    assert ended(train, updates=30, patient=False).run.main.round_count == 60


def test_it_is_told_again_where_the_script_swallows_it(ended):
    swallowed = []

    def train():
        model = nn.Linear(4, 2)
        step = torch.optim.SGD(model.parameters(), 0.1)
        for _ in range(20):
            step.zero_grad()
            model(torch.randn(2, 4)).sum().backward()
            try:
                step.step()
            except BaseException as error:  # noqa: BLE001
                swallowed.append(type(error))

    ended(train, updates=15, patient=False)
    assert swallowed == [SystemExit] * 6


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # Python itself says nothing
def test_a_training_thread_is_ended(ended):
    seen = []

    def train():
        thread = threading.Thread(target=loop, args=(10**6,), kwargs={"seen": seen})
        thread.start()
        thread.join()

    ended(train, updates=25, patient=False)
    assert seen == [24]


def test_a_step_inside_backward_ends_with_its_backward(ended):
    def train():
        model = nn.Linear(4, 2)
        steps = {p: torch.optim.SGD([p], 0.1) for p in model.parameters()}
        for parameter, step in steps.items():
            parameter.register_post_accumulate_grad_hook(lambda _p, step=step: step.step())
        for _ in range(10**6):
            model(torch.randn(2, 4)).sum().backward()

    watch = ended(train, updates=20, patient=False, seconds=5)
    assert watch.run.main.update_count < 30


class FakeSession:
    epochs_begun = 0
    has_stepped = has_optimizers = True
    updates = 0
    evaluations = 0


class FakeLane:
    stepping = ()
    backwards = 0

    def let_go(self):
        """Nothing is held."""


def test_the_first_rank_calls_the_end_for_all(tmp_path):
    limits = Limits(updates=10, patient=False)
    first, other = (Stopper(limits, tmp_path, rank, 2) for rank in (0, 1))
    ends = {}
    for number in range(1, 30):
        for name, stopper in (("first", first), ("other", other)):
            session = FakeSession()
            session.updates = number
            try:
                stopper.step_done(session, FakeLane())
            except SystemExit:
                ends.setdefault(name, number)
    assert ends == {"first": 10 + HEADWAY, "other": 10 + HEADWAY}
