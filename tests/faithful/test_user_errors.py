"""What the user's own code raises passes through as it is, and is printed without a frame of ours."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

import stepscope
from stepscope.record import events as ev


class Mine(Exception):
    pass


class BadForward(nn.Module):
    def forward(self, x):
        raise Mine("forward")


class BadBackward(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        raise Mine("backward")


class BadOptimizer(torch.optim.SGD):
    def step(self, closure=None):
        raise Mine("step")

    def zero_grad(self, set_to_none=True):
        raise Mine("zero_grad")


class BadScheduler(torch.optim.lr_scheduler.StepLR):
    def step(self, epoch=None):
        if getattr(self, "last_epoch", -1) >= 0:
            raise Mine("scheduler")
        super().step(epoch)


class BadData(torch.utils.data.Dataset):
    def __len__(self):
        return 4

    def __getitem__(self, index):
        raise Mine("data")


class BadModes(nn.Linear):
    def train(self, mode=True):
        raise Mine("train")

    def state_dict(self, *args, **kwargs):
        raise Mine("state_dict")


def forward():
    nn.Sequential(nn.Linear(2, 2), BadForward())(torch.randn(1, 2))


def backward():
    BadBackward.apply(nn.Linear(2, 1)(torch.randn(1, 2))).sum().backward()


def step():
    BadOptimizer(nn.Linear(2, 1).parameters(), 0.1).step()


def zero_grad():
    BadOptimizer(nn.Linear(2, 1).parameters(), 0.1).zero_grad()


def scheduler():
    BadScheduler(torch.optim.SGD(nn.Linear(2, 1).parameters(), 0.1), 1).step()


def data():
    next(iter(torch.utils.data.DataLoader(BadData())))


def train_mode():
    BadModes(2, 1).eval()


def state_dict():
    BadModes(2, 1).state_dict()


def closure():
    def fail():
        raise Mine("closure")

    torch.optim.LBFGS(nn.Linear(2, 1).parameters()).step(fail)


def hook():
    model = nn.Linear(2, 1)

    def fail(*_):
        raise Mine("hook")

    model.weight.register_hook(fail)
    model(torch.randn(1, 2)).sum().backward()


def forward_hook():
    model = nn.Sequential(nn.Linear(2, 1))

    def fail(*_):
        raise Mine("forward hook")

    model[0].register_forward_hook(fail)
    model(torch.randn(1, 2))


ERRORS = [
    forward, backward, step, zero_grad, scheduler, data, train_mode, state_dict, closure, hook, forward_hook,
]  # fmt: skip


def healthy(updates=3):
    model = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    for _ in range(updates):
        optimizer.zero_grad()
        model(torch.randn(1, 2)).sum().backward()
        optimizer.step()


@pytest.mark.parametrize("fail", ERRORS)
@pytest.mark.filterwarnings("ignore:Detected call of")
def test_it_passes_through_and_the_watch_goes_on(fail, record):
    with pytest.raises(Mine) as bare:
        fail()
    with stepscope.watch(record, looks="all") as watch:
        healthy()
        with pytest.raises(Mine) as watched:
            fail()
        healthy()
    assert watched.value.args == bare.value.args
    assert watched.value.__cause__ is None
    assert watched.value.__context__ is None
    assert list(watch.run.main.of(ev.Defect)) == []
    assert watch.run.main.update_count == 6, "what came after is seen as before"


SCRIPT = """
    import sys, threading
    sys.path.insert(0, {folder!r})
    import errors
    for number, fail in enumerate(errors.ERRORS):
        thread = threading.Thread(target=fail, name=str(number))
        thread.start()
        thread.join()
    try:
        errors.closure()
    except errors.Mine as error:
        raise ExceptionGroup("all", [error, KeyError("x")]) from error
"""


@pytest.mark.slow
def test_the_printed_tracebacks_are_those_of_python(script, python, stepscope_cli, tmp_path):
    script(Path(__file__).read_text(encoding="utf-8"), "errors.py")
    path = script(SCRIPT.format(folder=str(tmp_path)))
    bare = python(path)
    watched = stepscope_cli("trace", "--no-report", path)
    assert bare.returncode == watched.returncode == 1
    assert bare.stderr.count("Mine: ") >= len(ERRORS) + 2
    assert watched.stderr == bare.stderr
