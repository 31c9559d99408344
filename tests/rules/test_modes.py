"""The rules about training and evaluation mode: what must stay silent, what is only a hint, and the numbers."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, dropout
from torch.utils.data import DataLoader, TensorDataset

from stepscope import rules
from stepscope.checking.engine import judge
from stepscope.observe.schedule import Plan
from stepscope.observe.watch import Watch
from stepscope.record import events as ev

INPUTS = torch.linspace(-2, 2, 96 * 4).reshape(96, 4).sin()
TARGETS = (INPUTS[:, 0] > 0).long()


@pytest.fixture
def verdict(record):
    """Ask one rule about a function that was watched as ``check`` watches."""

    def ask(name, function):
        torch.manual_seed(0)
        with Watch(record, Plan(thorough=200)) as watched:
            function()
        run = watched.run
        assert not list(run.main.of(ev.Defect))
        return judge(run, {name: rules.get(name)}), run

    return ask


def found(verdict):
    return [(finding.evidence, finding.update) for finding in verdict[0].findings]


def net(*middle):
    return nn.Sequential(nn.Linear(4, 8), *middle, nn.ReLU(), nn.Linear(8, 2))


def train(model, updates=4, parameters=None):
    optimizer = torch.optim.SGD(parameters or model.parameters(), lr=0.05)
    for step in range(updates):
        part = slice(16 * (step % 4), 16 * (step % 4) + 16)
        loss = cross_entropy(model(INPUTS[part]), TARGETS[part])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def score(model, inputs=INPUTS[64:]):
    with torch.no_grad():
        return model(inputs).argmax(1)


# eval-mode-training


def test_an_evaluation_before_the_first_update_leaves_the_model_in_evaluation_mode(verdict):
    def loop():
        model = net(nn.Dropout(0.5))
        model.eval()
        score(model)
        train(model)

    told = verdict("eval-mode-training", loop)
    assert found(told) == [("strong", 1)]
    assert told[0].findings[0].facts == {"model": "model", "updates": 4, "dropouts": 1, "norms": 0}


def test_eval_right_before_training_may_be_meant(verdict):
    def loop():
        model = net(nn.BatchNorm1d(8))
        train(model)
        model.eval()
        train(model)

    assert found(verdict("eval-mode-training", loop)) == [("hint", 5)]


@pytest.mark.parametrize("middle", [nn.Tanh, lambda: nn.Dropout(0.0), lambda: nn.BatchNorm1d(8, affine=False)])
def test_modes_that_make_no_difference_are_no_matter(verdict, middle):
    def loop():
        model = net(middle())
        model.eval()
        score(model)
        if not isinstance(model[1], nn.BatchNorm1d):
            train(model)

    told = verdict("eval-mode-training", loop)
    assert found(told) == []
    assert "eval-mode-training" in told[0].unjudged


def test_a_frozen_part_in_evaluation_mode_is_meant(verdict):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.1)).requires_grad_(False)
            self.head = nn.Linear(8, 2)

        def train(self, mode=True):
            super().train(mode)
            self.body.eval()
            return self

        def forward(self, inputs):
            return self.head(self.body(inputs))

    def loop():
        model = Net()
        for _ in range(2):
            model.train()
            train(model)
            model.eval()
            score(model)

    assert found(verdict("eval-mode-training", loop)) == []


def test_an_attack_made_in_evaluation_mode_trains_nothing(verdict):
    def loop():
        model = net(nn.Dropout(0.2))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
        for step in range(4):
            part = slice(16 * step, 16 * step + 16)
            model.eval()
            attacked = INPUTS[part].clone().requires_grad_()
            (slope,) = torch.autograd.grad(cross_entropy(model(attacked), TARGETS[part]), attacked)
            model.train()
            loss = cross_entropy(model(INPUTS[part] + 0.1 * slope.sign()), TARGETS[part])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    assert found(verdict("eval-mode-training", loop)) == []


# train-mode-evaluation


def test_a_pass_over_the_training_data_is_only_a_hint(verdict):
    def loop():
        model = net(nn.Dropout(0.2))
        loader = DataLoader(TensorDataset(INPUTS, TARGETS), batch_size=16)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
        for inputs, targets in loader:
            loss = cross_entropy(model(inputs), targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        for inputs, _ in loader:
            score(model, inputs)

    assert found(verdict("train-mode-evaluation", loop)) == [("hint", 6)]


def test_another_loader_makes_it_strong(verdict):
    def loop():
        model = net(nn.BatchNorm1d(8))
        train(model)
        for (inputs,) in DataLoader(TensorDataset(INPUTS[64:]), batch_size=16):
            score(model, inputs)

    told = verdict("train-mode-evaluation", loop)
    assert found(told) == [("strong", 4)]
    assert "1 batch norm at work" in told[0].findings[0].message


def test_drawing_samples_of_one_batch_is_meant(verdict):
    def loop():
        model = net(nn.Dropout(0.2))
        train(model)
        batch = INPUTS[64:]
        torch.stack([score(model, batch) for _ in range(10)])

    assert found(verdict("train-mode-evaluation", loop)) == []


def test_a_model_that_acts_while_it_trains_is_only_a_hint(verdict):
    def loop():
        model = net(nn.Dropout(0.2))
        for _ in range(4):
            score(model, INPUTS[:1])
            train(model, 1)

    assert [evidence for evidence, _ in found(verdict("train-mode-evaluation", loop))] in ([], ["hint"])


def test_without_an_evaluation_there_is_nothing_to_judge(verdict):
    told = verdict("train-mode-evaluation", lambda: train(net(nn.Dropout(0.2))))
    assert "no evaluation" in told[0].unjudged["train-mode-evaluation"]


# dropout-in-evaluation


class Functional(nn.Module):
    def __init__(self, drop):
        super().__init__()
        self.hidden, self.out = nn.Linear(4, 8), nn.Linear(8, 2)
        self.drop = drop

    def forward(self, inputs):
        return self.out(self.drop(self, self.hidden(inputs)))


DROPPING = {
    "by default": (lambda _, h: dropout(h, 0.3), ["proof"]),
    "made anew": (lambda _, h: nn.Dropout(0.3)(h), ["proof"]),
    "by its mode": (lambda m, h: dropout(h, 0.3, m.training), []),
    "by name": (lambda _, h: dropout(h, 0.3, training=True), ["hint"]),
    "none": (lambda _, h: dropout(h, 0.0), []),
    "attention": (lambda _, h: nn.functional.scaled_dot_product_attention(h, h, h, dropout_p=0.5), ["proof"]),
    "whole channels": (lambda _, h: nn.functional.dropout1d(h.unsqueeze(2), 0.3).squeeze(2), ["proof"]),
}


@pytest.mark.parametrize("kind", DROPPING)
def test_dropout_that_does_not_know_of_evaluation(verdict, kind):
    drop, expected = DROPPING[kind]

    def loop():
        model = Functional(drop)
        model.train()
        train(model)
        model.eval()
        score(model)
        score(model, INPUTS[:32])

    told = verdict("dropout-in-evaluation", loop)
    assert [evidence for evidence, _ in found(told)] == expected
    if expected == ["proof"]:
        assert told[0].findings[0].facts["around"] == "Functional"
        assert told[0].findings[0].update == 4


def test_layers_that_eval_does_not_reach(verdict):
    hidden_away = [nn.Dropout(0.25)]

    def loop():
        model = Functional(lambda _, h: hidden_away[0](h))
        train(model)
        model.eval()
        score(model)

    told = verdict("dropout-in-evaluation", loop)
    assert found(told) == [("proof", 4)]
    assert told[0].findings[0].message.startswith("25 % of the values are dropped here")


def test_dropout_layers_switched_on_by_hand_are_meant(verdict):
    def loop():
        model = net(nn.Dropout(0.2))
        train(model)
        model.eval()
        model[1].train()
        score(model)

    assert found(verdict("dropout-in-evaluation", loop)) == []


def test_dropout_that_is_sampled_is_only_a_hint(verdict):
    def loop():
        model = Functional(lambda _, h: dropout(h, 0.3))
        train(model)
        model.eval()
        batch = INPUTS[64:]
        for _ in range(8):
            score(model, batch)

    assert found(verdict("dropout-in-evaluation", loop)) == [("hint", 4)]


# drifting-frozen-norm and tiny-batch-norm


@pytest.mark.parametrize("quiet", [False, True])
def test_a_frozen_backbone_that_is_a_model_of_its_own(verdict, quiet):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8)).requires_grad_(False)
            self.head = nn.Linear(8, 2)

        def forward(self, inputs):
            with torch.set_grad_enabled(not quiet):
                features = self.body(inputs)
            return self.head(features)

    def loop():
        model = Net()
        train(model, parameters=model.head.parameters())

    told = verdict("drifting-frozen-norm", loop)
    assert found(told) == [("strong", 1)]
    assert told[0].findings[0].facts["layers"] == ["body.1"]


@pytest.mark.parametrize("rate", [0.9, 1.0])
def test_a_momentum_encoder_is_frozen_on_purpose(verdict, rate):
    class Byol(nn.Module):
        def __init__(self):
            super().__init__()
            self.online = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 2))
            self.target = copy.deepcopy(self.online).requires_grad_(False)

        def forward(self, inputs):
            with torch.no_grad():
                wanted = self.target(inputs)
            return self.online(inputs) - wanted

    def loop():
        model = Byol()
        for _ in range(4):
            train(model, 1)
            with torch.no_grad():
                for old, new in zip(model.target.parameters(), model.online.parameters(), strict=True):
                    old.mul_(rate).add_(new, alpha=1 - rate)

    assert found(verdict("drifting-frozen-norm", loop)) == []


def test_a_momentum_encoder_that_user_code_calls_before_the_model_that_holds_it(verdict):
    """Its frozen layers are its own, not those of the network that was called before it."""

    class Byol(nn.Module):
        def __init__(self):
            super().__init__()
            self.online = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 2))
            self.target = copy.deepcopy(self.online).requires_grad_(False)
            self.online(INPUTS[:8])  # user code calls it
            with torch.no_grad():
                self.target(INPUTS[:8])

        def forward(self, inputs):
            with torch.no_grad():
                wanted = self.target(inputs)
            return self.online(inputs) - wanted

    told = verdict("drifting-frozen-norm", lambda: train(Byol()))
    assert found(told) == []
    assert told[0].unjudged == {}
    main = told[1].main
    norms = [layer for layer in main.updates[0].look.layers if layer.frozen and layer.tracks]
    assert [(main.models[layer.model].cls, layer.path) for layer in norms] == [
        ("Sequential", "1"),
        ("Byol", "target.1"),
    ]


def test_the_rest_of_the_data_at_the_end_of_a_pass_is_no_tiny_batch(verdict):
    def loop():
        model = net(nn.BatchNorm1d(8))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
        for inputs, targets in DataLoader(TensorDataset(INPUTS[:66], TARGETS[:66]), batch_size=16):
            loss = cross_entropy(model(inputs), targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    assert found(verdict("tiny-batch-norm", loop)) == []


def test_positions_count_as_values(verdict):
    def loop():
        model = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(18, 2))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
        for size in (1, 1, 1):
            optimizer.zero_grad()
            model(torch.randn(size, 1, 3, 3)).sum().backward()
            optimizer.step()

    assert found(verdict("tiny-batch-norm", loop)) == []  # 9 values


# The facts


def test_the_modes_of_layers_are_counted(record):
    model = nn.Sequential(
        nn.LSTM(4, 4, num_layers=2, dropout=0.1), nn.Dropout(0.0), nn.Dropout(0.5), nn.BatchNorm1d(4).eval()
    )

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.parts = model

        def forward(self, inputs):
            return self.parts[3](self.parts[2](dropout(inputs, 0.2, training=False)))

    with Watch(record, Plan(thorough=200)) as watched:
        Net()(INPUTS)
    (call,) = watched.run.main.of(ev.ModelCalled)
    assert call.modes == ev.LayerModes(dropouts_on=2, norms_off=1, dropped=1, passed=1)


def test_nothing_is_wrapped_where_nothing_is_checked(record):
    with Watch(record, Plan()):
        assert "dropout" not in vars(torch._VF)
        net(nn.Dropout(0.5))(INPUTS)
