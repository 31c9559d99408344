"""Weights after N updates, and every random stream, are the same to the last bit with and without watching."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from torch import nn

UPDATES = 12


class Sequence(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(5, 8, num_layers=2, dropout=0.3, batch_first=True)
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        return self.head(self.lstm(x)[0][:, -1])


class Attending(nn.Module):
    def __init__(self):
        super().__init__()
        layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.1, batch_first=True)
        self.inside = nn.Linear(5, 8)
        self.encoder = nn.TransformerEncoder(layer, 2)
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        return self.head(self.encoder(self.inside(x)).mean(1))


class HalfFrozen(nn.Module):
    """A frozen encoder in evaluation mode: torch takes its fast path there, which differs in the last bits."""

    def __init__(self):
        super().__init__()
        layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.frozen = nn.Sequential(nn.Linear(5, 8), nn.TransformerEncoder(layer, 2)).requires_grad_(False).eval()
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        return self.head(self.frozen(x).mean(1))


def mlp():
    return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 3))


def cnn():
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 3)
    )


MODELS = {
    "mlp": (mlp, (6,)),
    "cnn": (cnn, (1, 8, 8)),
    "transformer": (Attending, (4, 5)),
    "frozen-transformer": (HalfFrozen, (4, 5)),
    "lstm": (Sequence, (4, 5)),
}
OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, 0.05),
    "momentum": lambda p: torch.optim.SGD(p, 0.05, momentum=0.9, nesterov=True, weight_decay=0.01),
    "adam": lambda p: torch.optim.Adam(p, 0.01),
    "adamw-fused": lambda p: torch.optim.AdamW(p, 0.01, fused=True),
    "adamw-foreach": lambda p: torch.optim.AdamW(p, 0.01, foreach=True),
    "lbfgs": lambda p: torch.optim.LBFGS(p, 0.1, max_iter=3),
}


def train(model, optimizer, shape, updates=UPDATES, context=None):
    """A loop that also draws from numpy and random, clips, and evaluates now and then."""
    losses = []
    for number in range(updates):
        inputs = torch.randn(8, *shape) + np.random.rand() + random.random()  # noqa: NPY002, S311
        targets = torch.randint(0, 3, (8,))

        def closure(inputs=inputs, targets=targets):
            optimizer.zero_grad()
            with context() if context else torch.enable_grad():
                loss = nn.functional.cross_entropy(model(inputs), targets)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            return loss

        if isinstance(optimizer, torch.optim.LBFGS):
            losses.append(optimizer.step(closure).item())
        else:
            losses.append(closure().item())
            optimizer.step()
        if number % 5 == 4:
            frozen = [m for m in model.modules() if not m.training]
            model.eval()
            with torch.no_grad():
                losses.append(nn.functional.cross_entropy(model(inputs), targets).item())
            model.train()
            for module in frozen:
                module.training = False
    return losses


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("how", OPTIMIZERS)
def test_weights_and_random_streams(same, digest, kind, how):
    make, shape = MODELS[kind]

    def run():
        model = make()
        optimizer = OPTIMIZERS[how]([p for p in model.parameters() if p.requires_grad])
        return train(model, optimizer, shape), digest(model)

    _, record = same(run)
    assert record.main.update_count == UPDATES
    assert len(record.main.looks) >= 8


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("how", ["adam", "lbfgs"])
def test_as_thoroughly_as_check_does(same, digest, kind, how):
    make, shape = MODELS[kind]

    def run():
        model = make()
        optimizer = OPTIMIZERS[how]([p for p in model.parameters() if p.requires_grad])
        return train(model, optimizer, shape), digest(model)

    same(run, thorough=True)


@pytest.mark.parametrize("looks", ["all", 0])
def test_however_closely_it_is_looked_at(same, digest, looks):
    def run():
        model = cnn()
        return train(model, torch.optim.Adam(model.parameters()), (1, 8, 8)), digest(model)

    same(run, looks=looks)


def test_bfloat16_autocast(same, digest):
    def run():
        model = mlp()
        autocast = lambda: torch.autocast("cpu", torch.bfloat16)  # noqa: E731
        return train(model, torch.optim.AdamW(model.parameters()), (6,), context=autocast), digest(model)

    same(run)


def test_a_loop_long_enough_to_be_watched_briefly_and_then_only_counted(same, digest):
    def run():
        model = mlp()
        step = torch.optim.SGD(model.parameters(), 0.05, momentum=0.9)
        for number in range(2600):
            step.zero_grad()
            nn.functional.cross_entropy(model(torch.randn(4, 6)), torch.randint(0, 3, (4,))).backward()
            step.step()
            if number in {2300, 2500}:  # something happens around a loop that is asleep
                model.eval()
                model.train()
        return digest(model)

    _, record = same(run)
    assert record.main.update_count == 2600
    assert record.main.stretches, "the loop was never watched briefly"


def test_the_comparison_can_fail(digest, seed):
    seed()
    model = mlp()
    before = digest(model)
    with torch.no_grad():
        model[0].weight[0, 0] = torch.nextafter(model[0].weight[0, 0], torch.tensor(9.0))
    assert digest(model) != before, "a change of the last bit"
    before = digest(model)
    torch.rand(1)
    assert digest(model) != before, "a random number drawn"
