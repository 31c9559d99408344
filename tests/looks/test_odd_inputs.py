"""Looks never reach the training: odd tensors, odd containers, function transforms, failures of ours."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F


def defects(run):
    return [event for event in run.main.events if type(event).__name__ == "Defect"]


def test_per_sample_gradients_under_vmap(watched):
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    x, y = torch.randn(5, 3), torch.tensor([0, 1, 1, 0, 1])
    got = []

    def train():
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        weights = {name: p.detach() for name, p in model.named_parameters()}

        def loss(weights, x, y):
            return F.cross_entropy(torch.func.functional_call(model, weights, (x[None],)), y[None])

        for _ in range(2):
            each = torch.func.vmap(torch.func.grad(loss), (None, 0, 0))(weights, x, y)
            got.append(each)
            for name, p in model.named_parameters():
                p.grad = each[name].mean(0)
            optimizer.step()

    run = watched(train)
    assert defects(run) == []
    assert run.main.update_count >= 2
    assert got[0]["0.weight"].shape == (5, 4, 3)


@pytest.mark.filterwarnings("ignore")
def test_lazy_modules_nested_tensors_and_hostile_containers(watched):
    class Hostile(dict):
        def __getitem__(self, key):
            raise KeyError(f"not for you: {key}")

    class Reads(nn.Module):
        def forward(self, batch):
            return dict.get(batch, "x").sum()

    def train():
        lazy = nn.LazyLinear(2)
        lazy(torch.randn(4, 7)).sum().backward()
        jagged = torch.nested.nested_tensor([torch.randn(2, 3), torch.randn(4, 3)], layout=torch.jagged)
        nn.Linear(3, 2)(jagged).values().sum().backward()
        Reads()(Hostile(x=torch.ones(2, requires_grad=True))).backward()

    run = watched(train)
    assert defects(run) == []
    assert [event.name for event in run.main.models.values()][:1] == ["lazy"]


def test_zero_size_batches_and_integer_models(watched):
    class Whole(nn.Module):
        def forward(self, x):
            return x * 2

    def train():
        model = nn.Linear(3, 2)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        Whole()(torch.arange(3))
        model(torch.zeros(0, 3)).sum().backward()
        optimizer.step()

    run = watched(train)
    assert defects(run) == []
    look = run.updates[0].look
    assert [float(p.update_norm) for p in look.parameters] == [0.0, 0.0]
    assert look.layers[-1].outputs[0].shape == [0, 2]
    assert look.layers[-1].outputs[0].low is None


@pytest.mark.parametrize("where", ["_enter", "_leave"])
def test_a_failure_of_ours_in_a_look_never_reaches_the_training(watched, monkeypatch, capsys, where):
    from stepscope.observe.looks.looking import Looking

    def fail(*_args, **_kwargs):
        raise ValueError("ours")

    monkeypatch.setattr(Looking, where, fail)
    done = []

    def train():
        model = nn.Sequential(nn.Linear(3, 2), nn.ReLU())
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(3):
            model(torch.randn(4, 3)).sum().backward()
            optimizer.step()
            done.append(True)

    run = watched(train)
    assert len(done) == 3
    assert [(d.part, d.message) for d in defects(run)] == [("modules", "ValueError: ours")]
    assert capsys.readouterr().err.count("a defect of stepscope") == 1


def test_a_failure_of_ours_in_backward_never_reaches_the_training(watched, monkeypatch):
    from stepscope.observe.looks import looking

    torch.manual_seed(0)
    model = nn.Linear(3, 2)
    original = looking.Reading

    class Fails(original):
        def __init__(self, tensor, name=""):
            if tensor.shape == (4, 2):
                raise ValueError("ours")
            super().__init__(tensor, name)

    monkeypatch.setattr(looking, "Reading", Fails)
    reached = []

    def train():
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(2):
            model(torch.randn(4, 3)).sum().backward()
            optimizer.step()
            reached.append(True)

    watched(train)
    assert len(reached) == 2


def test_a_model_that_fails_raises_what_it_raised(watched):
    class Breaks(nn.Module):
        def forward(self, x):
            raise ZeroDivisionError("the user's own")

    with pytest.raises(ZeroDivisionError, match="the user's own"):
        watched(lambda: nn.Sequential(Breaks())(torch.ones(2)))
