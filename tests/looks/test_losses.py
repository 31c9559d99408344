"""The loss of a close look: its function, inputs, reduction, factor and value."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

TARGETS = torch.tensor([0, 2, 1, 2, 0])
NUMBERS = torch.tensor([[0.5, -1.0, 2.0], [0.0, 1.0, 1.5], [3.0, -2.0, 0.1], [0.4, 0.6, -0.6], [1.0, 1.0, 1.0]])
YES = (NUMBERS > 0.5).float()
SHARES = torch.softmax(NUMBERS, 1)
IGNORED = torch.tensor([0, -100, 1, -100, 0])


def look_at(watched, loss_of):
    """A linear model from 4 to 3 and ``loss_of(prediction)``; return the look, the run, and what was predicted."""
    kept = {}

    def train():
        torch.manual_seed(0)
        model = nn.Linear(4, 3)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        prediction = model(torch.randn(5, 4))
        loss = loss_of(prediction)
        loss.backward()
        optimizer.step()
        kept.update(prediction=prediction.detach().double().numpy(), loss=loss.item())

    run = watched(train)
    assert not [event for event in run.main.events if type(event).__name__ == "Defect"]
    return run.updates[0].look, kept


def log_softmax(scores):
    scores = scores - scores.max(1, keepdims=True)
    return scores - np.log(np.exp(scores).sum(1, keepdims=True))


def picked(scores):
    return -log_softmax(scores)[np.arange(5), TARGETS.numpy()]


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


WEIGHTS = np.array([0.5, 1.0, 2.0])
KNOWN = {
    "cross_entropy": (
        "cross_entropy",
        lambda p: F.cross_entropy(p, TARGETS),
        lambda p: picked(p).mean(),
        "mean",
        {},
    ),
    "sum": (
        "cross_entropy",
        lambda p: F.cross_entropy(p, TARGETS, reduction="sum"),
        lambda p: picked(p).sum(),
        "sum",
        {},
    ),
    "smoothing": (
        "cross_entropy",
        lambda p: F.cross_entropy(p, TARGETS, label_smoothing=0.1),
        lambda p: (0.9 * picked(p) + 0.1 * -log_softmax(p).mean(1)).mean(),
        "mean",
        {"label_smoothing": 0.1},
    ),
    "class weights": (
        "cross_entropy",
        nn.CrossEntropyLoss(weight=torch.tensor(WEIGHTS).float()),
        lambda p: (picked(p) * WEIGHTS[TARGETS]).sum() / WEIGHTS[TARGETS].sum(),
        "mean",
        {"weight": True},
    ),
    "ignore_index": (
        "cross_entropy",
        lambda p: F.cross_entropy(p, IGNORED),
        lambda p: -log_softmax(p)[[0, 2, 4], [0, 1, 0]].mean(),
        "mean",
        {},
    ),
    "soft targets": (
        "cross_entropy",
        lambda p: F.cross_entropy(p, SHARES),
        lambda p: -(SHARES.double().numpy() * log_softmax(p)).sum(1).mean(),
        "mean",
        {},
    ),
    "nll": ("nll_loss", lambda p: F.nll_loss(F.log_softmax(p, 1), TARGETS), lambda p: picked(p).mean(), "mean", {}),
    "mse": ("mse_loss", nn.MSELoss(), lambda p: ((p - NUMBERS.numpy()) ** 2).mean(), "mean", {}),
    "l1": ("l1_loss", lambda p: F.l1_loss(p, NUMBERS), lambda p: abs(p - NUMBERS.numpy()).mean(), "mean", {}),
    "smooth_l1": (
        "smooth_l1_loss",
        lambda p: F.smooth_l1_loss(p, NUMBERS, beta=0.5),
        lambda p: np.where((d := abs(p - NUMBERS.double().numpy())) < 0.5, d**2, d - 0.25).mean(),
        "mean",
        {"beta": 0.5},
    ),
    "huber": (
        "huber_loss",
        lambda p: F.huber_loss(p, NUMBERS, reduction="sum", delta=0.5),
        lambda p: np.where((d := abs(p - NUMBERS.double().numpy())) < 0.5, d**2 / 2, 0.5 * (d - 0.25)).sum(),
        "sum",
        {"delta": 0.5},
    ),
    "bce": (
        "binary_cross_entropy",
        lambda p: F.binary_cross_entropy(torch.sigmoid(p), YES),
        lambda p: -np.where(YES.numpy() > 0, np.log(sigmoid(p)), np.log(1 - sigmoid(p))).mean(),
        "mean",
        {},
    ),
    "bce with logits": (
        "binary_cross_entropy_with_logits",
        nn.BCEWithLogitsLoss(pos_weight=torch.tensor([2.0, 2.0, 2.0])),
        lambda p: -np.where(YES.numpy() > 0, 2 * np.log(sigmoid(p)), np.log(1 - sigmoid(p))).mean(),
        "mean",
        {"pos_weight": True},
    ),
    "kl": (
        "kl_div",
        lambda p: F.kl_div(F.log_softmax(p, 1), SHARES, reduction="batchmean"),
        lambda p: (s := SHARES.double().numpy()) is not None and (s * (np.log(s) - log_softmax(p))).sum() / 5,
        "sum",
        {},
    ),
}


@pytest.mark.parametrize("name", KNOWN)
def test_function_value_reduction_and_inputs(name, watched):
    function, loss_of, by_hand, reduction, options = KNOWN[name]
    call = loss_of if not isinstance(loss_of, (nn.MSELoss, nn.CrossEntropyLoss, nn.BCEWithLogitsLoss)) else None
    target = {"mse": NUMBERS, "class weights": TARGETS, "bce with logits": YES}.get(name)
    look, kept = look_at(watched, call or (lambda p: loss_of(p, target)))
    (loss,) = look.losses
    assert (loss.function, loss.reduction, loss.options) == (function, reduction, options)
    assert float(loss.value) == pytest.approx(by_hand(kept["prediction"]), rel=1e-5)
    assert loss.prediction.shape == [5, 3]
    assert loss.target.shape in ([5], [5, 3])
    assert (loss.file, loss.prediction.name, loss.target.name) == (__file__, "prediction", "target")
    if name not in {"nll", "bce", "kl"}:
        assert float(loss.prediction.mean) == pytest.approx(kept["prediction"].mean(), rel=1e-4, abs=1e-6)


FACTORS = {
    "/ 4": (lambda loss: loss / 4, 0.25),
    "* 0.25": (lambda loss: loss * 0.25, 0.25),
    "0.25 *": (lambda loss: 0.25 * loss, 0.25),
    "tensor *": (lambda loss: torch.tensor(0.25) * loss, 0.25),
    "-": (lambda loss: -loss, -1.0),
    "1 -": (lambda loss: 1 - loss, -1.0),
    "/ 4 * 8": (lambda loss: loss / 4 * 8, 2.0),
    "none": (lambda loss: loss, 1.0),
    "+ 3": (lambda loss: loss + 3, 1.0),
}


@pytest.mark.parametrize("name", FACTORS)
def test_factor_on_the_way_to_the_root(name, watched):
    wrap, factor = FACTORS[name]
    look, kept = look_at(watched, lambda p: wrap(F.mse_loss(p, NUMBERS)))
    (loss,) = look.losses
    assert (loss.function, loss.factor) == ("mse_loss", pytest.approx(factor))
    assert loss.value == pytest.approx(kept["loss"])
    own = ((kept["prediction"] - NUMBERS.numpy()) ** 2).mean()
    assert float(loss.result) == pytest.approx(own, rel=1e-5)


def test_unreduced_and_then_averaged(watched):
    look, kept = look_at(watched, lambda p: F.cross_entropy(p, TARGETS, reduction="none").mean())
    (loss,) = look.losses
    assert (loss.function, loss.reduction, loss.operations) == ("cross_entropy", "none", ["MeanBackward0"])
    assert float(loss.value) == pytest.approx(picked(kept["prediction"]).mean(), rel=1e-5)
    assert loss.result is None, "the function itself returned five numbers"


def test_a_sum_of_losses_tells_each(watched):
    look, kept = look_at(
        watched, lambda p: F.cross_entropy(p, TARGETS) + 0.1 * F.mse_loss(p, NUMBERS) + F.l1_loss(p, NUMBERS) / 2
    )
    found = {loss.function: loss for loss in look.losses}
    assert {name: loss.factor for name, loss in found.items()} == {
        "cross_entropy": 1.0,
        "mse_loss": pytest.approx(0.1),
        "l1_loss": 0.5,
    }
    total = sum(float(loss.factor) * float(loss.result) for loss in look.losses)
    assert total == pytest.approx(kept["loss"], rel=1e-6)
    assert [loss.value for loss in look.losses] == [None, None, None]


def test_a_loss_used_twice_is_told_once(watched):
    def focal(p):
        each = F.cross_entropy(p, TARGETS, reduction="none")
        return ((1 - torch.exp(-each)) ** 2 * each).mean()

    look, _ = look_at(watched, focal)
    assert [loss.function for loss in look.losses] == ["cross_entropy"]


def test_a_hand_written_loss_has_a_value_and_no_function(watched):
    look, kept = look_at(watched, lambda p: ((p - NUMBERS) ** 2).sum(1).sqrt().mean())
    (loss,) = look.losses
    expected = np.sqrt(((kept["prediction"] - NUMBERS.numpy()) ** 2).sum(1)).mean()
    assert loss.function is None
    assert float(loss.value) == pytest.approx(expected, rel=1e-5)
    assert loss.operations == ["MeanBackward0"]


def test_a_metric_beside_the_loss_is_not_taken_for_it(watched):
    def both(p):
        F.l1_loss(p, NUMBERS)  # looked at by the user, never backpropagated
        return F.mse_loss(p, NUMBERS)

    look, _ = look_at(watched, both)
    assert [loss.function for loss in look.losses] == ["mse_loss"]


def test_several_roots_of_one_backward(watched):
    def train():
        model, other = nn.Linear(4, 3), nn.Linear(4, 3)
        optimizer = torch.optim.SGD([*model.parameters(), *other.parameters()], lr=0.1)
        x = torch.randn(5, 4)
        torch.autograd.backward([F.mse_loss(model(x), NUMBERS), F.cross_entropy(other(x), TARGETS)])
        optimizer.step()

    look = watched(train).updates[0].look
    assert [loss.function for loss in look.losses] == ["mse_loss", "cross_entropy"]
    assert len(look.graphs[0].reached) == 4


def test_nothing_but_nan(watched):
    look, _ = look_at(watched, lambda p: F.mse_loss(p * math.nan, NUMBERS))
    (loss,) = look.losses
    assert (loss.value, loss.result, loss.prediction.non_finite) == ("nan", "nan", 15)


def test_a_loss_scale_is_taken_out(watched):
    def train():
        torch.manual_seed(0)
        model = nn.Linear(4, 3)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
        x = torch.randn(5, 4)
        with torch.autocast("cpu", torch.float16):
            loss = F.mse_loss(model(x), NUMBERS)
        values.append(loss.item())
        scaler.scale(loss / 2).backward()
        scaler.step(optimizer)
        scaler.update()

    values = []
    run = watched(train)
    (loss,) = run.updates[0].look.losses
    assert float(loss.value) == pytest.approx(values[0] / 2, rel=1e-3)
    assert (loss.factor, loss.operations) == (0.5, ["DivBackward0"])
    assert run.updates[0].loss == pytest.approx(values[0] / 2, rel=1e-3)
