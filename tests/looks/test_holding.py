"""What thorough watches find out about parameters: who holds them, where layers were made, what freezes them."""

from __future__ import annotations

import copy
import gc
import inspect
import pickle
import weakref

import pytest
import torch
from torch import nn

import stepscope
from stepscope.observe.schedule import Plan
from stepscope.observe.thorough.sources import sounds_alike
from stepscope.observe.thorough.states import contents, same_memory
from stepscope.observe.watch import Watch


def line_of(function, text):
    lines = inspect.getsource(function).splitlines()
    return function.__code__.co_firstlineno + next(number for number, line in enumerate(lines) if text in line)


@pytest.fixture
def holdings(record):
    """Run a function under a thorough watch; return what each look says of its parameters."""

    def run(function):
        with Watch(record, Plan(thorough=200)) as watched:
            function()
        return [look.holding for update in watched.run.main.looks if (look := update.look) is not None]

    return run


def train(model, optimizer, updates=3, forward=None):
    for _ in range(updates):
        model.zero_grad()
        (forward or model)(torch.randn(8, 4)).square().mean().backward()
        optimizer.step()


def test_parameters_that_nobody_holds_are_told_with_their_layer(holdings):
    def run():
        first, second = nn.Linear(4, 3), nn.Linear(3, 2)  # made here
        for _ in range(3):
            second(first(torch.randn(8, 4))).square().mean().backward()
            optimizer = torch.optim.SGD(first.parameters())
            optimizer.step()

    told = holdings(run)
    by_name = {one.path: one for one in told[1].loose}
    assert {path: (one.held, one.root, one.fresh, one.elements) for path, one in by_name.items()} == {
        "weight": ("model", "Linear", True, 6),
        "bias": ("model", "Linear", True, 2),
    }
    assert {one.line for one in by_name.values()} == {line_of(run, "made here")}
    assert [one.moved for one in told[2].loose] == [False, False]


def test_what_is_moved_by_hand_is_seen_to_move(holdings):
    def run():
        body, head = nn.Linear(4, 3), nn.Linear(3, 2)
        optimizer = torch.optim.SGD(body.parameters())
        for _ in range(3):
            head(body(torch.randn(8, 4))).square().mean().backward()
            optimizer.step()
            optimizer.zero_grad()
            for parameter in head.parameters():
                parameter.data -= 0.1 * parameter.grad  # no version counter tells of this
                parameter.grad = None

    told = [holding for holding in holdings(run) if holding is not None and holding.loose]
    assert [one.moved for one in told[-1].loose] == [True, True]


def test_weights_that_were_loaded_or_trained_are_not_fresh(holdings):
    def run():
        body, loaded = nn.Linear(4, 4), nn.Linear(4, 4)
        loaded.load_state_dict(nn.Linear(4, 4).state_dict())
        train(body, torch.optim.SGD(body.parameters()), 2)
        head = nn.Linear(4, 4)
        train(head, torch.optim.SGD(head.parameters()), 3, lambda x: head(loaded(body(x))))

    last = holdings(run)[-1]
    assert len(last.loose) == 4  # of body, whose optimizer is gone, and of loaded
    assert not any(one.fresh for one in last.loose)


def test_a_replaced_layer_leaves_an_orphan_and_tells_its_successor(holdings):
    def run():
        model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2))
        optimizer = torch.optim.SGD(model.parameters())
        model[1] = nn.Linear(4, 3)  # replaced here
        train(model, optimizer)

    holding = holdings(run)[0]
    assert [(o.path, o.unheld, o.line) for o in holding.orphans] == [
        ("1.weight", True, line_of(run, "replaced here")),
        ("1.bias", True, line_of(run, "replaced here")),
    ]
    assert {o.successor for o in holding.orphans} == {one.id for one in holding.loose}


def test_what_can_train_is_counted(holdings):
    def run():
        model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2))
        model[0].requires_grad_(False)
        train(model, torch.optim.SGD(model.parameters()))

    state = holdings(run)[0].models[0]
    assert (state.elements, state.trainable, len(state.learning), len(state.frozen)) == (30, 10, 2, 2)
    assert state.fresh == state.frozen


def test_frozen_parameters_are_counted_at_each_step(record):
    with Watch(record, Plan(thorough=200)) as watched:
        model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2))
        model[0].requires_grad_(False)
        train(model, torch.optim.SGD(model.parameters()))
    assert [step.frozen for update in watched.run.updates for step in update.steps] == [2, 2, 2]


def test_a_plain_watch_asks_nothing_of_this(record):
    with stepscope.watch(record) as watched:
        assert "stepscope" not in nn.Module.__init__.__code__.co_filename
        model = nn.Linear(4, 2)
        train(model, torch.optim.SGD(model.parameters()))
    assert all(look.holding is None for update in watched.run.main.looks if (look := update.look))


def test_models_are_not_touched_and_not_kept(record):
    with Watch(record, Plan(thorough=200)):
        model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2))
        names = [sorted(vars(module)) for module in model.modules()]
        train(model, torch.optim.SGD(model[0].parameters()))
        assert [sorted(vars(module)) for module in model.modules()] == names
        assert pickle.loads(pickle.dumps(model))[0].weight.equal(model[0].weight)  # noqa: S301
        assert copy.deepcopy(model)[0].weight.equal(model[0].weight)
        state = weakref.ref(model.state_dict()["0.weight"])
        gone = weakref.ref(model)
        del model
        gc.collect()
        assert gone() is None
        assert state() is None


@pytest.mark.parametrize(
    ("name", "alike"),
    [
        ("requires_grad", True),
        ("require_grad", True),
        ("requires_grad_", True),
        ("requires_grads", True),
        ("required_grad", True),
        ("requires_gradient", True),
        ("require_backward_grad_sync", False),
        ("grad", False),
        ("required", False),
    ],
)
def test_names_that_are_meant_for_requires_grad(name, alike):
    assert sounds_alike(name) is alike


def test_a_checkpoint_is_known_by_its_structure():
    model = nn.Linear(2, 2)
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1)
    told = contents(
        {
            "net": model.state_dict(),
            "opts": [optimizer.state_dict()],
            "lr": scheduler.state_dict(),
            "amp": torch.amp.GradScaler("cpu").state_dict(),
            "epoch": 3,
            "best": 0.5,
            "plain": torch.optim.SGD(model.parameters()).state_dict(),
        }
    )
    assert told == {"net": "model", "opts": "optimizer", "lr": "scheduler", "amp": "scaler", "epoch": "counter"}
    assert contents(model.state_dict()) == {}
    assert contents([1, 2]) == {}


def test_the_same_memory():
    one = torch.randn(4, 4)
    assert same_memory(one, one.detach())
    assert not same_memory(one, one.clone())
    assert not same_memory(one, one[0])
