"""The step's arithmetic, re-derived, agrees with what torch's optimizers did."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from stepscope.pipeline.build import build

SETTINGS = {
    "SGD": [
        {},
        {"momentum": 0.9},
        {"momentum": 0.9, "dampening": 0.3},
        {"momentum": 0.9, "nesterov": True},
        {"weight_decay": 0.1},
        {"momentum": 0.8, "weight_decay": 0.05, "maximize": True},
        {"momentum": 0.8, "weight_decay": 0.05, "nesterov": True, "maximize": True},
    ],
    "Adam": [
        {},
        {"amsgrad": True},
        {"weight_decay": 0.1},
        {"weight_decay": 0.1, "maximize": True, "amsgrad": True},
        {"betas": (0.5, 0.9), "eps": 1e-3},
        {"decoupled_weight_decay": True, "weight_decay": 0.1},
    ],
    "AdamW": [{}, {"weight_decay": 0.3}, {"amsgrad": True, "maximize": True}],
    "RMSprop": [
        {},
        {"centered": True},
        {"momentum": 0.9},
        {"weight_decay": 0.1, "alpha": 0.9},
        {"centered": True, "momentum": 0.5, "weight_decay": 0.1, "maximize": True},
    ],
}
WAYS = {"foreach": {"foreach": True}, "loop": {"foreach": False}, "fused": {"fused": True}}
CASES = [
    pytest.param(cls, options, way, dtype, id=f"{cls}-{'-'.join(f'{k}={v}' for k, v in options.items())}-{way}-{dtype}")
    for cls, every in SETTINGS.items()
    for options, way, dtype in itertools.product(every, WAYS, (torch.float32, torch.float64))
    if not (cls == "RMSprop" and way == "fused")
]


def train(optimizer_of, *, dtype=torch.float32, updates=5, before_step=lambda _net: None):
    """Five updates of a small network, some of whose weights start at 0."""
    torch.manual_seed(7)
    net = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)).to(dtype)
    nn.init.zeros_(net[2].bias)
    optimizer = optimizer_of(net.parameters())
    for _ in range(updates):
        optimizer.zero_grad()
        F.cross_entropy(net(torch.randn(6, 4, dtype=dtype)), torch.randint(0, 3, (6,))).backward()
        before_step(net)
        optimizer.step()


def arithmetic(run, number):
    return build(run, number).update.arithmetic


@pytest.mark.parametrize(("cls", "options", "way", "dtype"), CASES)
def test_every_followed_weight_agrees(watched, cls, options, way, dtype):
    make = getattr(torch.optim, cls)
    run = watched(lambda: train(lambda p: make(p, lr=0.05, **options, **WAYS[way]), dtype=dtype))
    for number in range(1, 6):
        derived = arithmetic(run, number)
        assert [d.parameter for d in derived] == ["0.weight", "0.bias", "2.weight", "2.bias"]
        for one in derived:
            assert one.agrees is True, (number, one)
            assert one.computed == pytest.approx(one.after, rel=2e-5, abs=1e-6)
            assert one.before != one.after
            assert one.optimizer == cls


def test_plain_sgd_by_hand(watched):
    def train():
        weight = nn.Parameter(torch.tensor([2.0, -1.0]))
        optimizer = torch.optim.SGD([weight], lr=0.5)
        (weight * torch.tensor([0.25, 3.0])).sum().backward()
        optimizer.step()

    (one,) = arithmetic(watched(train), 1)
    assert (one.index, one.before, one.gradient, one.after) == ([1], -1.0, 3.0, -2.5)
    assert (one.formula, one.computed, one.difference) == ("w_new = w - lr * g", -2.5, 0.0)
    assert one.lines == ["w_new = -1 - 0.5 * 3 = -2.5"]


def test_lines_of_momentum_and_weight_decay_by_hand(watched):
    def train():
        weight = nn.Parameter(torch.tensor([4.0]))
        optimizer = torch.optim.SGD([weight], lr=0.5, momentum=0.5, weight_decay=0.25, nesterov=True)
        for _ in range(2):
            optimizer.zero_grad()
            weight.sum().backward()
            optimizer.step()

    run = watched(train)
    # g = 1 + 0.25 * 4 = 2, buf = 2, g = 2 + 0.5 * 2 = 3, w = 4 - 1.5 = 2.5
    (first,) = arithmetic(run, 1)
    assert (first.after, first.computed) == (2.5, 2.5)
    # g = 1 + 0.25 * 2.5 = 1.625, buf = 0.5 * 2 + 1.625 = 2.625, g = 1.625 + 1.3125 = 2.9375, w = 1.03125
    (second,) = arithmetic(run, 2)
    assert second.lines == [
        "g = 1 + 0.25 * 2.5 = 1.625",
        "buf = 0.5 * 2 + 1 * 1.625 = 2.625",
        "g = 1.625 + 0.5 * 2.625 = 2.9375",
        "w_new = 2.5 - 0.5 * 2.9375 = 1.03125",
    ]
    assert second.after == 1.03125


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize(
    ("cls", "options"),
    [
        ("SGD", {"momentum": 0.9, "weight_decay": 0.1}),
        ("Adam", {"eps": 1e-4}),
        ("AdamW", {"eps": 1e-4}),
        ("RMSprop", {"eps": 1e-3}),
    ],
)
def test_low_precision_weights_agree_within_their_rounding(watched, cls, options, dtype):
    make = getattr(torch.optim, cls)
    run = watched(lambda: train(lambda p: make(p, lr=0.05, **options), dtype=dtype))
    for number in range(1, 6):
        assert [one.agrees for one in arithmetic(run, number)] == [True] * 4


def test_terms_that_cancel_are_no_difference(watched):
    def train():
        weight = nn.Parameter(torch.zeros(1))
        optimizer = torch.optim.SGD([weight], lr=0.1, momentum=0.9)
        for factor in (1 / 3, -0.3 + 1e-8, 1 / 7):
            optimizer.zero_grad()
            (weight * factor).sum().backward()
            weight.data.zero_()
            optimizer.step()

    run = watched(train)
    assert [arithmetic(run, n)[0].agrees for n in (1, 2, 3)] == [True] * 3


def test_a_learning_rate_that_is_a_tensor_and_one_that_moves(watched):
    def trained():
        rate = torch.tensor(0.05)

        def halve(_net):
            rate.mul_(0.5)

        train(lambda p: torch.optim.Adam(p, lr=rate, foreach=False), before_step=halve)

    run = watched(trained)
    for number in range(1, 6):
        assert all(one.agrees for one in arithmetic(run, number))
        rate = run.updates[number - 1].look.optimizers[0].groups[0]["lr"]
        assert rate == pytest.approx(0.05 * 0.5**number)


def test_clipping_and_scheduling_are_no_difference(watched):
    def trained():
        def make(parameters):
            optimizer = torch.optim.AdamW(parameters, lr=0.1)
            schedulers.append(torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5))
            return optimizer

        schedulers = []
        train(make, before_step=lambda net: nn.utils.clip_grad_norm_(net.parameters(), 0.01))

    run = watched(trained)
    assert all(one.agrees for number in range(1, 6) for one in arithmetic(run, number))


def test_a_fused_step_under_a_scaler(watched):
    def trained():
        torch.manual_seed(0)
        net = nn.Linear(4, 3)
        optimizer = torch.optim.Adam(net.parameters(), lr=0.01, fused=True)
        scaler = torch.amp.GradScaler("cpu", init_scale=256.0)
        for number in range(3):
            optimizer.zero_grad()
            loss = F.cross_entropy(net(torch.randn(5, 4)), torch.randint(0, 3, (5,)))
            if number == 1:  # one gradient overflows, the other is finite
                loss = loss + net.bias[0] * torch.tensor(1e38)
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()

    run = watched(trained)
    for update in run.updates:
        for one in arithmetic(run, update.index):
            assert one.agrees is True, one
    skipped = [update for update in run.updates if update.look.optimizers and update.look.optimizers[0].skipped]
    assert [update.index for update in skipped] == [2]
    assert {one.before == one.after for one in arithmetic(run, 2)} == {True}
