"""What a step did to each parameter, against a twin that is trained by hand beside it."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F


def model():
    torch.manual_seed(2)
    return nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 3))


def batches(count):
    generator = torch.Generator().manual_seed(5)
    return [
        (torch.randn(6, 5, generator=generator), torch.randint(0, 3, (6,), generator=generator)) for _ in range(count)
    ]


OPTIMIZERS = {
    "SGD": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9),
    "Adam": lambda p: torch.optim.Adam(p, lr=0.01),
    "Adagrad": lambda p: torch.optim.Adagrad(p, lr=0.01),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_norms_weights_ratios_and_state_are_the_twins(name, watched):
    net = model()
    twin = copy.deepcopy(net)
    data = batches(3)

    def train(model, optimizer, each=lambda: None):
        for x, y in data:
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            each()
            optimizer.step()

    run = watched(lambda: train(net, OPTIMIZERS[name](net.parameters())))
    told = []
    optimizer = OPTIMIZERS[name](twin.parameters())

    def note():
        told.append([(p.detach().clone(), p.grad.clone()) for p in twin.parameters()])

    train(twin, optimizer, note)
    finals = [p.detach().clone() for p in twin.parameters()]
    for number, update in enumerate(run.updates):
        after = [p for p, _ in told[number + 1]] if number < 2 else finals
        assert [p.name for p in update.look.parameters] == ["0.weight", "0.bias", "2.weight", "2.bias"]
        for seen, (before, gradient), final in zip(update.look.parameters, told[number], after, strict=True):
            change = (final.double() - before.double()).norm().item()
            weight = before.double().norm().item()
            assert float(seen.gradient_norm) == pytest.approx(gradient.double().norm().item(), rel=1e-5)
            assert float(seen.weight_norm) == pytest.approx(weight, rel=1e-5)
            assert float(seen.update_norm) == pytest.approx(change, rel=1e-4)
            assert float(seen.ratio) == pytest.approx(change / weight, rel=1e-4)
            assert float(seen.unchanged) == pytest.approx((final == before).double().mean().item(), abs=1e-6)
            assert float(seen.before.mean) == pytest.approx(before.mean().item(), abs=1e-6)
            assert float(seen.after.mean) == pytest.approx(final.mean().item(), abs=1e-6)
            assert float(seen.gradient.std) == pytest.approx(gradient.std(correction=0).item(), abs=1e-6)
            first = before[:4, :6] if before.dim() == 2 else before[:6]
            assert seen.before.corner == first.tolist()
            first = final[:4, :6] if final.dim() == 2 else final[:6]
            assert seen.after.corner == first.tolist()
            place = tuple(seen.cell.index)
            assert (seen.cell.before, seen.cell.after) == (before[place].item(), final[place].item())
            assert seen.cell.gradient == gradient[place].item()
    last = run.updates[-1].look
    for seen, parameter in zip(last.parameters, twin.parameters(), strict=True):
        held = {k: v for k, v in optimizer.state[parameter].items() if v.shape == parameter.shape}
        assert set(seen.state) == set(held)
        for key, value in held.items():
            assert float(seen.state[key].mean) == pytest.approx(value.mean().item(), rel=1e-4, abs=1e-7)
            assert seen.cell.state_after[key] == pytest.approx(value[tuple(seen.cell.index)].item())
    (group,) = last.optimizers[0].groups
    assert group["lr"] == optimizer.param_groups[0]["lr"]
    assert last.optimizers[0].cls == name


def test_the_followed_cell_is_the_largest_gradient_of_the_first_look_and_stays(watched):
    net = model()
    twin = copy.deepcopy(net)
    data = batches(3)

    def train():
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        for x, y in data:
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            optimizer.step()

    run = watched(train)
    F.cross_entropy(twin(data[0][0]), data[0][1]).backward()
    expected = [[int(i) for i in torch.unravel_index(p.grad.abs().argmax(), p.shape)] for p in twin.parameters()]
    for update in run.updates:
        assert [p.cell.index for p in update.look.parameters] == expected


def test_groups_keep_their_options(watched):
    def train():
        net = model()
        groups = [{"params": net[0].parameters(), "lr": 0.5}, {"params": net[2].parameters(), "weight_decay": 0.1}]
        optimizer = torch.optim.SGD(groups, lr=0.01, momentum=0.9)
        net(torch.randn(2, 5)).sum().backward()
        optimizer.step()

    look = watched(train).updates[0].look
    groups = look.optimizers[0].groups
    assert [(g["lr"], g["weight_decay"], g["momentum"]) for g in groups] == [(0.5, 0, 0.9), (0.01, 0.1, 0.9)]
    assert [p.group for p in look.parameters] == [0, 0, 1, 1]


def test_a_step_too_small_for_the_dtype_leaves_weights_unchanged(watched):
    def train():
        weight = nn.Parameter(torch.tensor([1.0, 1.0, 1.0, 0.0]).bfloat16())
        optimizer = torch.optim.SGD([weight], lr=1e-4)
        weight.sum().backward()
        optimizer.step()

    (seen,) = watched(train).updates[0].look.parameters
    assert float(seen.unchanged) == 0.75
    assert seen.before.dtype == "bfloat16"


def test_a_gradient_that_is_not_finite(watched):
    def train():
        weight = nn.Parameter(torch.ones(3))
        optimizer = torch.optim.SGD([weight], lr=0.1)
        (weight * torch.tensor([1.0, math.nan, 2.0])).sum().backward()
        optimizer.step()

    (seen,) = watched(train).updates[0].look.parameters
    assert (seen.gradient_norm, seen.gradient.non_finite, seen.after.non_finite) == ("nan", 1, 1)
    assert (seen.cell.index, seen.cell.gradient) == ([1], "nan")


def test_sparse_gradients_are_measured(watched):
    def train():
        torch.manual_seed(0)
        table = nn.Embedding(10, 3, sparse=True)
        optimizer = torch.optim.SGD(table.parameters(), lr=0.5)
        table(torch.tensor([1, 1, 4])).sum().backward()
        optimizer.step()

    (seen,) = watched(train).updates[0].look.parameters
    assert float(seen.gradient_norm) == pytest.approx(math.sqrt(3 * 2**2 + 3 * 1**2))
    assert float(seen.gradient.zeros) == pytest.approx(24 / 30)
    assert float(seen.update_norm) == pytest.approx(math.sqrt(15) / 2, rel=1e-6)
    assert float(seen.unchanged) == pytest.approx(0.8)
    assert seen.cell.index[0] == 1


def test_complex_weights_have_norms_and_no_followed_cell(watched):
    def train():
        weight = nn.Parameter(torch.tensor([3 + 4j, 1j]))
        optimizer = torch.optim.Adam([weight], lr=0.1)
        (weight.abs() ** 2).sum().backward()
        optimizer.step()

    run = watched(train)
    (seen,) = run.updates[0].look.parameters
    assert float(seen.weight_norm) == pytest.approx(math.sqrt(26))
    assert float(seen.gradient_norm) == pytest.approx(2 * math.sqrt(26))
    assert seen.cell is None
    assert not [event for event in run.main.events if type(event).__name__ == "Defect"]


def test_clipped_gradients_are_told_as_the_step_used_them(watched):
    def train():
        weight = nn.Parameter(torch.zeros(2))
        optimizer = torch.optim.SGD([weight], lr=1.0)
        (weight * torch.tensor([3.0, 4.0])).sum().backward()
        nn.utils.clip_grad_norm_([weight], 1.0)
        optimizer.step()

    (seen,) = watched(train).updates[0].look.parameters
    assert float(seen.gradient_norm) == pytest.approx(1.0, rel=1e-5)
    assert seen.gradient.corner == pytest.approx([0.6, 0.8], rel=1e-5)


def test_clipping_in_a_hook_of_the_optimizer(watched):
    def train():
        weight = nn.Parameter(torch.zeros(2))
        optimizer = torch.optim.SGD([weight], lr=1.0)
        optimizer.register_step_pre_hook(lambda *_: nn.utils.clip_grad_value_([weight], 0.5))
        (weight * torch.tensor([3.0, 0.25])).sum().backward()
        optimizer.step()

    (seen,) = watched(train).updates[0].look.parameters
    assert seen.gradient.corner == [0.5, 0.25]
    assert (seen.cell.gradient, seen.cell.after) == (0.5, -0.5)
