"""Which updates are looked at closely."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from stepscope.observe.schedule import Plan


def looked_at(plan, updates):
    previous, found = 0, []
    for update in range(1, updates + 1):
        if plan.looks_at(update, previous):
            found.append(update)
            previous = update
    return found


def test_auto_looks_at_the_first_and_then_ever_more_rarely():
    # 8 * 1.4 = 11.2, 12 * 1.4 = 16.8, 17 * 1.4 = 23.8, 24 * 1.4 = 33.6, 34 * 1.4 = 47.6, 48 * 1.4 = 67.2
    assert looked_at(Plan(), 70) == [1, 2, 3, 4, 5, 6, 7, 8, 12, 17, 24, 34, 48, 68]
    assert len(looked_at(Plan(), 1_000_000)) < 50


@pytest.mark.parametrize(("looks", "expected"), [("all", list(range(1, 31))), (3, [1, 2, 3]), (0, [])])
def test_all_or_a_number(looks, expected):
    assert looked_at(Plan(looks=looks), 30) == expected


@pytest.mark.parametrize("looks", ["auto", "all", 0, 3, 20])
def test_next_look_is_the_first_that_is_looked_at(looks):
    plan = Plan(looks=looks)
    found = looked_at(plan, 400)
    for done in range(300):
        previous = max([u for u in found if u <= done], default=0)
        expected = next((u for u in found if u > done), None)
        told = plan.next_look(done, previous)
        assert told == expected or (expected is None and told > 400)


@pytest.mark.parametrize(("looks", "expected"), [("all", 30), (3, 3), (0, 0)])
def test_a_run_is_looked_at_as_asked(watched, looks, expected):
    def train():
        net = nn.Linear(2, 1)
        optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
        for _ in range(30):
            optimizer.zero_grad()
            net(torch.randn(4, 2)).pow(2).mean().backward()
            optimizer.step()

    run = watched(train, looks=looks)
    assert [update.index for update in run.main.looks] == list(range(1, expected + 1))
    assert run.main.update_count == 30


def test_auto_in_a_run(watched):
    def train():
        net = nn.Linear(2, 1)
        optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
        for _ in range(50):
            optimizer.zero_grad()
            net(torch.randn(4, 2)).pow(2).mean().backward()
            optimizer.step()

    looks = [update.index for update in watched(train).main.looks]
    assert looks == [1, 2, 3, 4, 5, 6, 7, 8, 12, 17, 24, 34, 48]


def test_the_first_updates_of_epochs_are_looked_at_too(watched):
    from torch.utils.data import DataLoader, TensorDataset

    def train():
        net = nn.Linear(2, 1)
        optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
        loader = DataLoader(TensorDataset(torch.randn(40, 2)), batch_size=2)
        for _ in range(3):
            for (x,) in loader:
                optimizer.zero_grad()
                net(x).pow(2).mean().backward()
                optimizer.step()

    looks = {update.index for update in watched(train).main.looks}
    assert {1, 21, 41} <= looks
