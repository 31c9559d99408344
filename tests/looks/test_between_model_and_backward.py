"""In a thorough watch single operations are listened to from the model's call until backward."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from stepscope.observe.looks.operations import Operations
from stepscope.observe.schedule import Plan
from stepscope.observe.watch import Watch

depth = torch._C._len_torch_function_stack


class Passing(TorchFunctionMode):
    """A mode of the user's, which counts what goes through it."""

    def __init__(self):
        super().__init__()
        self.seen = 0

    def __torch_function__(self, func, types, args=(), kwargs=None):
        self.seen += 1
        return func(*args, **(kwargs or {}))


@pytest.fixture
def thorough(record):
    def run(function):
        with Watch(record, Plan(thorough=200)) as watch:
            function()
        return watch.run

    return run


def model_and_step():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
    return model, torch.optim.SGD(model.parameters(), 0.1)


def test_a_hand_written_loss_is_on_its_lines(thorough):
    def train():
        model, step = model_and_step()
        difference = model(torch.randn(16, 4)) - torch.randn(16)
        loss = (difference**2).mean()
        loss.backward()
        step.step()

    lines = thorough(train).updates[0].look.lines
    first = train.__code__.co_firstlineno
    seen = [(line.line - first, line.operation, line.inputs, line.outputs) for line in lines]
    assert seen[-3:] == [
        (2, "sub", [[16, 1], [16]], [[16, 16]]),
        (3, "pow", [[16, 16]], [[16, 16]]),
        (3, "mean", [[16, 16]], [[]]),
    ]


def test_an_ordinary_watch_listens_only_inside_the_model(watched):
    def train():
        model, step = model_and_step()
        loss = (model(torch.randn(16, 4)) ** 2).mean()
        assert depth() == 0
        loss.backward()
        step.step()

    assert {line.operation for line in watched(train).updates[0].look.lines} == {"linear", "tanh"}


def test_nothing_is_left_on_the_stack_where_others_begin(thorough):
    def train():
        model, step = model_and_step()
        for _ in range(3):
            loss = model(torch.randn(16, 4)).square().mean()
            assert depth() == 1
            with torch.no_grad():
                assert depth() == 0
            loss.backward()
            step.step()
            assert depth() == 0
            model(torch.randn(16, 4))
            with torch.no_grad():
                model(torch.randn(16, 4))
            assert depth() == 0

    thorough(train)
    assert depth() == 0


def test_a_loop_that_never_goes_backward(thorough):
    def train():
        model, _ = model_and_step()
        model(torch.randn(16, 4)).square().mean()
        assert depth() == 1

    thorough(train)
    assert depth() == 0


def test_an_exception_between_model_and_backward(thorough):
    def train():
        model, step = model_and_step()
        for number in range(4):
            try:
                loss = model(torch.randn(16, 4)).square().mean()
                loss = loss / (1 if number != 1 else "nothing")
                loss.backward()
                step.step()
            except TypeError:
                pass

    assert thorough(train).main.update_count == 3
    assert depth() == 0


def test_modes_of_the_users_open_and_close_as_they_did(thorough):
    def train():
        model, step = model_and_step()
        for number in range(3):
            user = Passing()
            loss = model(torch.randn(16, 4)).mean()
            if number == 1:
                user.__enter__()  # opened above ours, closed when ours is gone
            loss = loss * 2
            loss.backward()
            if number == 1:
                user.__exit__(None, None, None)
            step.step()
            assert depth() == 0
            assert (user.seen > 0) == (number == 1)
            with Passing() as around:
                model(torch.randn(16, 4)).mean()
                assert depth() == 1
            assert around.seen

    thorough(train)


def test_two_rounds_in_one_update(thorough):
    def train():
        model, step = model_and_step()
        for part in range(2):
            (model(torch.randn(4, 4)) * (part + 1)).mean().backward()
        step.step()

    lines = thorough(train).updates[0].look.lines
    assert [line.count for line in lines if line.operation == "mul"] == [2]


def test_whose_line_made_a_node():
    lines = Operations({})
    first = torch.ones(3, requires_grad=True)
    with lines:
        outer = first.sin()
        later = outer.exp().sum()
    before = first.cos()
    here = test_whose_line_made_a_node.__code__.co_firstlineno
    assert lines.place_of(outer.grad_fn._sequence_nr()) == (__file__, here + 4)
    assert lines.place_of(later.grad_fn._sequence_nr()) == (__file__, here + 5)
    assert lines.place_of(before.grad_fn._sequence_nr()) == (None, 0)
