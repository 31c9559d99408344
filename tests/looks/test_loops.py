"""Close looks in loops of other shapes: closures, manual steps, steps inside backward, GANs, accumulation."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from stepscope.pipeline.build import build

X = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
Y = torch.tensor([0, 1, 2, 0, 1, 2])


def net():
    torch.manual_seed(1)
    return nn.Linear(4, 3)


def gradients(model, x=X, y=Y):
    return torch.autograd.grad(F.cross_entropy(model(x), y), list(model.parameters()))


def defects(run):
    return [event for event in run.main.events if type(event).__name__ == "Defect"]


def test_lbfgs_tells_the_gradient_where_the_step_began(watched):
    model = net()
    twin = copy.deepcopy(model)
    befores = []
    xs, ys = X.split(2), Y.split(2)

    def train():
        optimizer = torch.optim.LBFGS(model.parameters(), lr=0.5, max_iter=3)

        def closure():
            optimizer.zero_grad()
            loss = F.cross_entropy(model(xs[number]), ys[number])
            loss.backward()
            return loss

        for number in range(3):  # noqa: B007  # the closure reads it
            befores.append(copy.deepcopy(model.state_dict()))
            optimizer.step(closure)

    run = watched(train)
    befores.append(model.state_dict())
    assert [update.kind for update in run.updates] == ["closure"] * 3
    for number, update in enumerate(run.updates):
        twin.load_state_dict(befores[number])
        for seen, wanted in zip(update.look.parameters, gradients(twin, xs[number], ys[number]), strict=True):
            assert float(seen.gradient_norm) == pytest.approx(wanted.norm().item(), rel=1e-5)
            assert seen.before.corner[0] == pytest.approx(befores[number][seen.name][0].tolist())
            assert seen.after.corner[0] == pytest.approx(befores[number + 1][seen.name][0].tolist())
        assert [one.why for one in build(run, number + 1).update.arithmetic] == [
            "stepscope has no formula for LBFGS"
        ] * 2


@pytest.mark.parametrize("name", ["SGD", "Adam"])
@pytest.mark.parametrize("clears", ["inside", "before"])
def test_closures_of_plain_optimizers_are_re_derived(watched, name, clears):
    def train():
        model = net()
        options = {"momentum": 0.9} if name == "SGD" else {}
        optimizer = getattr(torch.optim, name)(model.parameters(), lr=0.1, **options)

        def closure():
            if clears == "inside":
                optimizer.zero_grad()
            loss = F.cross_entropy(model(X), Y)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 0.1)
            return loss

        for _ in range(4):
            if clears == "before":
                optimizer.zero_grad()
            optimizer.step(closure)

    run = watched(train)
    assert [one.agrees for n in range(1, 5) for one in build(run, n).update.arithmetic] == [True] * 8
    total = sum(float(p.gradient_norm) ** 2 for p in run.updates[-1].look.parameters) ** 0.5
    assert total == pytest.approx(0.1, rel=1e-3)


def test_a_closure_that_only_returns_the_loss(watched):
    def train():
        model = net()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        loss = F.cross_entropy(model(X), Y)
        loss.backward()
        optimizer.step(lambda: loss)

    run = watched(train)
    assert [one.agrees for one in build(run, 1).update.arithmetic] == [True] * 2


def test_a_resumed_optimizer_with_a_closure_is_re_derived(watched):
    model = net()
    old = torch.optim.Adam(model.parameters(), lr=0.1)
    F.cross_entropy(model(X), Y).backward()
    old.step()
    saved = copy.deepcopy(old.state_dict())

    def train():
        optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
        optimizer.load_state_dict(saved)

        def closure():
            optimizer.zero_grad()
            loss = F.cross_entropy(model(X), Y)
            loss.backward()
            return loss

        model.zero_grad()
        optimizer.step(closure)

    run = watched(train)
    assert [one.agrees for one in build(run, 1).update.arithmetic] == [True] * 2
    assert run.updates[0].look.parameters[0].cell.state_before["step"] == 1.0


@pytest.mark.parametrize("functional", [False, True])
def test_manual_sgd(watched, functional):
    model = net()
    twin = copy.deepcopy(model)

    def train():
        for _ in range(3):
            loss = F.cross_entropy(model(X), Y)
            if functional:
                found = torch.autograd.grad(loss, list(model.parameters()))
            else:
                loss.backward()
                found = [p.grad for p in model.parameters()]
            with torch.no_grad():
                for p, g in zip(model.parameters(), found, strict=True):
                    p.sub_(0.5 * g)
            model.zero_grad()

    run = watched(train)
    assert [update.kind for update in run.updates] == ["manual"] * 3
    for update in run.updates:
        found = gradients(twin)
        for seen, p, g in zip(update.look.parameters, twin.parameters(), found, strict=True):
            assert float(seen.gradient_norm) == pytest.approx(g.norm().item(), rel=1e-5)
            assert float(seen.update_norm) == pytest.approx(0.5 * g.norm().item(), rel=1e-4)
            p.data -= 0.5 * g
            assert float(seen.after.mean) == pytest.approx(p.mean().item(), abs=1e-6)
        assert update.look.optimizers == []


def test_an_optimizer_for_each_parameter_inside_backward(watched):
    model = nn.Sequential(net(), nn.Linear(3, 3))
    twin = copy.deepcopy(model)

    def train():
        optimizers = {p: torch.optim.Adam([p], lr=0.01) for p in model.parameters()}

        def step(p):
            optimizers[p].step()
            optimizers[p].zero_grad()

        for p in model.parameters():
            p.register_post_accumulate_grad_hook(step)
        for _ in range(2):
            F.cross_entropy(model(X), Y).backward()

    run = watched(train)
    assert [update.kind for update in run.updates] == ["in-backward"] * 2
    look = run.updates[0].look
    wanted = dict(zip((n for n, _ in twin.named_parameters()), gradients(twin), strict=True))
    assert {p.name for p in look.parameters} == set(wanted)
    for seen in look.parameters:
        assert float(seen.gradient_norm) == pytest.approx(wanted[seen.name].norm().item(), rel=1e-5)
    for number in (1, 2):
        assert [one.agrees for one in build(run, number).update.arithmetic] == [True] * 4


def test_a_gan_has_a_look_at_each_player(watched):
    torch.manual_seed(0)
    generator, critic = nn.Linear(2, 4), nn.Linear(4, 1)

    def train():
        first = torch.optim.Adam(critic.parameters(), lr=0.01)
        second = torch.optim.SGD(generator.parameters(), lr=0.01)
        for _ in range(2):
            fake = generator(torch.randn(6, 2))
            first.zero_grad()
            bce = F.binary_cross_entropy_with_logits
            loss = bce(critic(X), torch.ones(6, 1)) + bce(critic(fake.detach()), torch.zeros(6, 1))
            loss.backward()
            first.step()
            second.zero_grad()
            bce(critic(fake), torch.ones(6, 1)).backward()
            second.step()

    run = watched(train)
    assert defects(run) == []
    critics, generators = run.updates[0].look, run.updates[1].look
    assert [loss.function for loss in critics.losses] == ["binary_cross_entropy_with_logits"] * 2
    assert [p.name for p in critics.parameters] == ["critic.weight", "critic.bias"]
    assert sorted(critics.graphs[0].reached) == ["critic.bias", "critic.weight"]
    assert len(generators.losses) == 1
    assert len(generators.graphs[0].reached) == 4
    assert [len(p.before.shape) for p in generators.parameters] == [2, 1]
    for update in run.updates:
        assert all(one.agrees for one in build(run, update.index).update.arithmetic)


def test_two_optimizers_after_one_backward(watched):
    def train():
        one, two = net(), nn.Linear(3, 3)
        optimizers = torch.optim.SGD(one.parameters(), lr=0.1), torch.optim.Adam(two.parameters(), lr=0.1)
        F.cross_entropy(two(one(X)), Y).backward()
        for optimizer in optimizers:
            optimizer.step()

    run = watched(train)
    found = [(update.look.optimizers[0].cls, len(update.look.parameters)) for update in run.main.looks]
    assert found == [("SGD", 2), ("Adam", 2)]
    assert all(one.agrees for update in run.main.looks for one in build(run, update.index).update.arithmetic)


def test_accumulated_gradients_are_the_sum_of_the_rounds(watched):
    model = net()
    twin = copy.deepcopy(model)

    def train():
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for x, y in zip(X.split(2), Y.split(2), strict=True):
            (F.cross_entropy(model(x), y) / 3).backward()
        optimizer.step()

    (update,) = watched(train).updates
    look = update.look
    assert (look.rounds, len(update.rounds)) == (3, 3)
    assert [(layer.round, layer.inputs[0].shape) for layer in look.layers] == [(n, [2, 4]) for n in range(3)]
    for seen, wanted in zip(look.parameters, gradients(twin), strict=True):  # equal parts: the mean of the whole
        assert float(seen.gradient_norm) == pytest.approx(wanted.norm().item(), rel=1e-4)


def test_bfloat16_autocast(watched):
    def train():
        model = net()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        with torch.autocast("cpu", torch.bfloat16):
            loss = F.cross_entropy(model(X), Y)
        loss.backward()
        optimizer.step()

    run = watched(train)
    look = run.updates[0].look
    assert look.layers[0].inputs[0].dtype == "float32"
    assert look.layers[0].outputs[0].dtype == "bfloat16"
    assert look.layers[0].gradient.dtype == "bfloat16"
    assert [one.agrees for one in build(run).update.arithmetic] == [True] * 2
    assert defects(run) == []


@pytest.mark.parametrize("clears", [True, False])
def test_an_optimizer_that_was_made_before_the_watch(watched, clears):
    model, other = net(), nn.Linear(3, 3)
    optimizers = torch.optim.SGD(model.parameters(), lr=0.1), torch.optim.Adam(other.parameters(), lr=0.1)

    def train():
        for _ in range(3):
            for module, optimizer, x in ((model, optimizers[0], X), (other, optimizers[1], X[:, :3])):
                if clears:
                    optimizer.zero_grad()
                F.cross_entropy(module(x), Y).backward()
                optimizer.step()

    run = watched(train)
    assert [update.kind for update in run.updates] == ["step"] * 6
    assert [update.look.optimizers[0].cls for update in run.updates] == ["SGD", "Adam"] * 3
    assert all(one.agrees for update in run.updates for one in build(run, update.index).update.arithmetic)
