"""The arithmetic says so where the optimizer did something else, and where it cannot tell."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from stepscope.pipeline.arithmetic import derive
from stepscope.pipeline.build import build
from stepscope.record.look import Cell, OptimizerLook, ParameterLook, Summary


def named(name, base, step):
    """A subclass of ``base`` that calls itself ``name`` and steps its own way."""
    return type(name, (base,), {"step": step})


def train(optimizer_of, updates=3, dtype=torch.float32):
    torch.manual_seed(7)
    net = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)).to(dtype)
    optimizer = optimizer_of(net.parameters())
    for _ in range(updates):
        optimizer.zero_grad()
        F.cross_entropy(net(torch.randn(6, 4, dtype=dtype)), torch.randint(0, 3, (6,))).backward()
        optimizer.step()


def verdicts(run):
    return [one.agrees for update in run.main.looks for one in build(run, update.index).update.arithmetic]


def doubled(base):
    def step(self, closure=None):
        for group in self.param_groups:
            group["lr"] *= 2
        base.step(self, closure)
        for group in self.param_groups:
            group["lr"] /= 2

    return step


def nudged(base):
    def step(self, closure=None):
        base.step(self, closure)
        with torch.no_grad():
            for group in self.param_groups:
                for p in group["params"]:
                    p.sub_(1e-4)

    return step


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "RMSprop"])
@pytest.mark.parametrize("cheat", [doubled, nudged])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_an_optimizer_that_does_something_else_differs(watched, name, cheat, dtype):
    base = getattr(torch.optim, name)
    cheater = named(name, base, cheat(base))
    found = verdicts(watched(lambda: train(lambda p: cheater(p, lr=0.05), dtype=dtype)))
    assert found == [False] * 12


def test_a_doubled_rate_shows_in_bfloat16_where_it_is_larger_than_rounding(watched):
    cheater = named("SGD", torch.optim.SGD, doubled(torch.optim.SGD))
    found = verdicts(watched(lambda: train(lambda p: cheater(p, lr=2.0), dtype=torch.bfloat16)))
    assert found.count(False) >= 8


def test_a_sign_error_differs(watched):
    def step(self, closure=None):
        with torch.no_grad():
            for group in self.param_groups:
                for p in group["params"]:
                    p.add_(p.grad, alpha=group["lr"])

    found = verdicts(watched(lambda: train(lambda p: named("SGD", torch.optim.SGD, step)(p, lr=0.05))))
    assert found == [False] * 12


@pytest.mark.parametrize("name", ["Adagrad", "NAdam", "RAdam", "Adadelta", "Adamax", "Rprop", "ASGD"])
def test_an_optimizer_without_a_formula_says_so(watched, name):
    run = watched(lambda: train(lambda p: getattr(torch.optim, name)(p, lr=0.05), updates=1))
    for one in build(run).update.arithmetic:
        assert (one.agrees, one.why) == (None, f"stepscope has no formula for {name}")


def test_a_gradient_that_is_not_finite_says_so(watched):
    def go():
        weight = nn.Parameter(torch.ones(2))
        optimizer = torch.optim.SGD([weight], lr=0.1)
        (weight * torch.tensor([math.nan, 1.0])).sum().backward()
        optimizer.step()

    (one,) = build(watched(go)).update.arithmetic
    assert one.agrees is None
    assert one.why == "the gradient and the weight after are not a finite number"


def look(*, cls="Adam", state=None, options=None, after=0.9, gradient=1.0):
    cell = Cell(index=[0], before=1.0, after=after, gradient=gradient, state_before=state or {})
    parameter = ParameterLook(id="p1", name="w", optimizer="o1", before=Summary([1], "float32"), cell=cell)
    return derive(parameter, OptimizerLook("o1", cls, [{"lr": 0.1} if options is None else options]))


def test_an_option_that_was_not_recorded_says_so():
    assert look(cls="SGD", options={"momentum": 0.0}).why == "its option lr was not recorded"
    assert look(options={"lr": 0.1}).why == "its option betas was not recorded"
    assert look(cls="SGD", options={"lr": "inf"}).why == "its option lr is not a plain number"


def test_numbers_that_leave_the_formulas_range_say_so():
    assert look(options={"lr": 0.1, "betas": [0.9, 1.0]}).agrees is None
    assert "divides by zero" in look(options={"lr": 0.1, "betas": [0.9, 1.0]}).why
    assert look(cls="RMSprop", gradient=0.0, options={"lr": 0.1, "eps": 0.0}).agrees is None


def test_a_centred_average_that_rounds_below_zero_does_not_break():
    state = {"square_avg": 1.0, "grad_avg": 1.0000001}
    assert look(cls="RMSprop", state=state, options={"lr": 0.1, "centered": True}).computed is not None


def test_a_state_that_is_not_finite_says_so():
    one = look(state={"exp_avg": "nan", "exp_avg_sq": 1.0, "step": 1.0}, options={"lr": 0.1, "betas": [0.9, 0.999]})
    assert one.why == "the optimizer's exp_avg is not a finite number"


def test_no_optimizer_gives_the_rate_that_the_change_implies(watched):
    def go():
        weight = nn.Parameter(torch.tensor([4.0]))
        for _ in range(3):
            (weight * 2).sum().backward()
            with torch.no_grad():
                weight -= 0.25 * weight.grad
            weight.grad = None

    run = watched(go)
    (one,) = build(run, 1).update.arithmetic
    assert (one.agrees, one.before, one.after) == (None, 4.0, 3.5)
    assert one.lines == ["(w - w_new) / g = 0.5 / 2 = 0.25"]
