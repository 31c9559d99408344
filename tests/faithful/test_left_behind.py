"""When a watch is over nothing of it is left in torch, however it ended and whoever patched on top."""

from __future__ import annotations

import os
import signal
import sys
import weakref

import pytest
import torch
from torch import nn

import stepscope
from stepscope.observe import watch as watching
from stepscope.observe.patching import MARK
from stepscope.observe.schedule import Plan
from stepscope.observe.watch import Watch

CONFTEST = sys.modules[next(name for name in sys.modules if name.endswith("conftest") and "faithful" not in name)]


def train(updates=3):
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    for _ in range(updates):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(torch.randn(8, 4)), torch.randint(0, 2, (8,))).backward()
        optimizer.step()
    return model


def installed():
    return {
        (owner, name): value
        for owner in (nn.Module, torch.optim.Optimizer, torch.utils.data.DataLoader, torch._C._nn, torch.autograd)
        for name, value in vars(owner).items()
        if callable(value)
    }


def test_nothing_is_left_after_the_block(record):
    before = installed()
    with stepscope.watch(record):
        assert installed() != before, "the comparison can fail"
        train()
    assert installed() == before


@pytest.mark.parametrize("error", [ValueError("mine"), KeyboardInterrupt(), SystemExit(3), GeneratorExit()])
def test_nothing_is_left_after_an_exception(record, error):
    before = installed()
    with pytest.raises(type(error)) as caught, stepscope.watch(record):
        train()
        raise error
    assert caught.value is error
    assert installed() == before


def test_nothing_is_left_after_control_c_in_the_middle_of_a_forward(record):
    class Interrupted(nn.Module):
        def forward(self, x):
            os.kill(os.getpid(), signal.SIGINT)
            return x

    before = installed()
    with pytest.raises(KeyboardInterrupt), stepscope.watch(record) as watch:
        train()
        nn.Sequential(Interrupted())(torch.zeros(1))
    assert installed() == before
    assert watch.run.main.ended.reason == "interrupted"


def test_a_name_imported_during_the_watch_does_nothing_more_after_it(record):
    with stepscope.watch(record) as watch:
        model = train()
        call, zero_grad, mse = nn.Module.__call__, torch.optim.Optimizer.zero_grad, torch._C._nn.mse_loss
        backward, save = torch.autograd._engine_run_backward, torch.save
    assert [getattr(f, MARK, False) for f in (call, zero_grad, mse, backward, save)] == [True] * 5
    events = len(watch.run.main.events)
    loss = mse(call(model, torch.randn(8, 4)), torch.zeros(8, 2), 1)
    backward((loss,), (torch.ones(()),), False, False, (), allow_unreachable=True, accumulate_grad=True)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    optimizer.step()
    zero_grad(optimizer)
    save(model.state_dict(), os.devnull)
    watch.run.reload()
    assert len(stepscope.load(record).main.events) == events


def test_a_patch_of_the_user_on_top_of_ours_survives(record):
    seen = []
    with stepscope.watch(record):
        below = torch.optim.Optimizer.zero_grad

        def mine(self, *args, **kwargs):
            seen.append(1)
            return below(self, *args, **kwargs)

        torch.optim.Optimizer.zero_grad = mine
        train()
    try:
        assert torch.optim.Optimizer.zero_grad is mine
        train()
        assert len(seen) == 6
    finally:
        torch.optim.Optimizer.zero_grad = below.__wrapped__


def test_a_patch_of_the_user_is_not_buried_as_looks_come_and_go(record):
    """Close looks arm and disarm the module seam: below somebody else's patch it must not pile up."""
    depths = []
    bare = nn.Module.__call__
    with stepscope.watch(record):
        below = nn.Module.__call__

        def mine(self, *args, **kwargs):
            return below(self, *args, **kwargs)

        nn.Module.__call__ = mine

        class Deep(nn.Module):
            def forward(self, x):
                frame, depth = sys._getframe(), 0
                while frame.f_code.co_name != "test_a_patch_of_the_user_is_not_buried_as_looks_come_and_go":
                    frame, depth = frame.f_back, depth + 1
                depths.append(depth)
                return x

        model = nn.Sequential(Deep(), nn.Linear(4, 2))
        optimizer = torch.optim.SGD(model.parameters(), 0.1)
        for _ in range(800):
            optimizer.zero_grad()
            model(torch.randn(2, 4)).sum().backward()
            optimizer.step()
    assert nn.Module.__call__ is mine
    nn.Module.__call__ = bare
    assert max(depths) <= depths[0], "a look adds frames, not one more for every look before it"


def test_two_watches_one_after_the_other(tmp_path):
    for name in ("first", "second"):
        with stepscope.watch(tmp_path / name) as watch:
            train()
        assert watch.run.main.update_count == 3


def test_the_fixture_that_proves_it_can_fail(record):
    """Each of its parts must see what it is there to see."""
    assert CONFTEST.left_in_torch() == []
    with stepscope.watch(record):
        left = CONFTEST.left_in_torch()
        assert watching._current is not None
    assert "Module.__call__" in left
    assert "Optimizer.zero_grad" in left
    assert "torch.autograd._engine_run_backward" in left
    assert any("OptimizerSeam" in name for name in left), "global step hooks"
    assert CONFTEST.left_in_torch() == []


def test_the_fixture_fails_a_test_that_leaves_something(record):
    fixture = (
        CONFTEST.nothing_left_in_torch.__wrapped__() if hasattr(CONFTEST.nothing_left_in_torch, "__wrapped__") else None
    )
    assert fixture is not None
    next(fixture)
    watch = stepscope.watch(record)
    watch.start()
    try:
        with pytest.raises(AssertionError):
            next(fixture)
    finally:
        watch.stop()
    fixture = CONFTEST.nothing_left_in_torch.__wrapped__()
    next(fixture)
    with pytest.raises(StopIteration):
        next(fixture)


@pytest.mark.parametrize("thorough", [0, 200])
def test_what_a_function_lets_go_of_is_gone(record, thorough):
    """A frame whose ``f_locals`` were read would keep what they held at that moment."""
    from torch.utils.data import DataLoader, TensorDataset

    def train():
        model = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.1), nn.Linear(8, 2))
        optimizer = torch.optim.SGD(model.parameters(), 0.1)
        data = TensorDataset(torch.randn(40, 4), torch.randint(2, (40,)))
        kept, gone = None, []
        for _ in range(4):
            loader = DataLoader(data, batch_size=4)
            for inputs, targets in loader:
                loss = nn.functional.cross_entropy(model(inputs), targets)
                optimizer.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_value_(model.parameters(), 1.0)
                optimizer.step()
                if kept is not None:
                    gone += [ref() is None for ref in kept]
                kept = [weakref.ref(inputs), weakref.ref(loss)]
            kept.append(weakref.ref(loader))
            del inputs, targets, loss, loader
            gone += [ref() is None for ref in kept]
        return gone

    with Watch(record, Plan(thorough=thorough)):
        assert all(train())
