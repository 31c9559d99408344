"""The prediction trace of one sample, against float64 computed by the test."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from stepscope.pipeline.build import build

TARGET = torch.tensor([2, 0, 1])


def trace(watched, model, x, loss_of):
    def train():
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        loss_of(model(x)).backward()
        optimizer.step()

    return build(watched(train)).update.prediction


def shares(scores):
    weights = np.exp(scores - scores.max())
    return weights / weights.sum()


def test_softmax_and_cross_entropy_of_the_sample(watched):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3))
    x = torch.randn(3, 4)
    hidden = model[0](x)[0].detach()
    expected = shares(model(x)[0].detach().double().numpy())
    told = trace(watched, model, x, lambda out: F.cross_entropy(out, TARGET))
    assert [step.name for step in told.steps] == ["input", "0 (Linear)", "1 (ReLU)", "2 (Linear)"]
    assert told.steps[0].values == pytest.approx(x[0].tolist())
    assert told.steps[1].values == pytest.approx(hidden.tolist())
    assert told.steps[2].values == pytest.approx(hidden.relu().tolist())
    assert told.probabilities == pytest.approx(expected.tolist(), rel=1e-5)
    best = int(expected.argmax())
    assert told.predicted == f"class {best} ({100 * expected[best]:.1f} %)"
    assert told.target == "class 2"
    assert float(told.loss) == pytest.approx(-math.log(expected[2]), rel=1e-5)
    assert [step.name for step in told.back] == ["2 (Linear)", "1 (ReLU)", "0 (Linear)"]
    gradient = (expected - np.eye(3)[2]) / 3  # of the mean over three samples
    assert told.back[0].values == pytest.approx(gradient.tolist(), rel=1e-4, abs=1e-7)


def test_everything_on_one_line_loses_no_layer(watched):
    model = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Flatten(), nn.Linear(5, 3))
    criterion = nn.CrossEntropyLoss()
    x = torch.randn(3, 4)

    def train():
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        criterion(model(x), TARGET).backward()
        optimizer.step()

    told = build(watched(train)).update.prediction
    assert [step.name for step in told.steps] == ["input", "0 (Linear)", "1 (ReLU)", "2 (Flatten)", "3 (Linear)"]


def test_log_probabilities(watched):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 3), nn.LogSoftmax(1))
    x = torch.randn(3, 4)
    expected = model(x)[0].detach().double().exp().numpy()
    told = trace(watched, model, x, lambda out: F.nll_loss(out, TARGET))
    assert told.probabilities == pytest.approx(expected.tolist(), rel=1e-5)
    assert float(told.loss) == pytest.approx(-math.log(expected[2]), rel=1e-5)


def test_scores_that_are_no_log_probabilities_get_no_shares(watched):
    told = trace(watched, nn.Linear(4, 3), torch.randn(3, 4), lambda out: F.nll_loss(out * 5 + 3, TARGET))
    assert told.probabilities == []
    assert told.loss is None
    assert told.target == "class 2"


@pytest.mark.parametrize(
    "options", [{"label_smoothing": 0.1}, {"weight": torch.tensor([1.0, 2.0, 3.0])}, {"ignore_index": 2}]
)
def test_a_share_of_the_loss_that_is_no_plain_logarithm_is_not_claimed(watched, options):
    told = trace(watched, nn.Linear(4, 3), torch.randn(3, 4), lambda out: F.cross_entropy(out, TARGET, **options))
    assert told.loss is None
    assert len(told.probabilities) == 3
    assert ("ignored" in told.target) == ("ignore_index" in options)


def test_the_loss_that_was_backpropagated_is_the_one_that_is_shown(watched):
    model = nn.Linear(4, 3)
    x = torch.randn(3, 4)
    scores = model(x)[0].detach().double().numpy()

    def loss_of(out):
        F.cross_entropy(out * 10, torch.tensor([0, 0, 0]))  # a metric that nobody backpropagates
        return F.cross_entropy(out, TARGET)

    told = trace(watched, model, x, loss_of)
    assert told.probabilities == pytest.approx(shares(scores).tolist(), rel=1e-5)
    assert told.target == "class 2"


@pytest.mark.parametrize("flat", [True, False])
def test_a_regression(watched, flat):
    model = nn.Linear(2, 1)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[1.0, 2.0]]))
        model.bias.zero_()
    x = torch.tensor([[1.0, 1.0], [0.0, 1.0], [2.0, 0.0]])
    target = torch.tensor([5.0, 0.0, 0.0]) if flat else torch.tensor([[5.0], [0.0], [0.0]])
    told = trace(watched, model, x, lambda out: F.mse_loss(out.squeeze(1) if flat else out, target))
    assert (told.predicted, told.target, told.loss) == ("3", "5", 4.0)
    assert told.loss_text == "(3 - 5)^2 = 4"


def test_yes_or_no(watched):
    model = nn.Linear(2, 1)
    x = torch.randn(3, 2)
    logit = model(x)[0].item()
    target = torch.tensor([[1.0], [0.0], [1.0]])
    told = trace(watched, model, x, lambda out: F.binary_cross_entropy_with_logits(out, target))
    share = 1 / (1 + math.exp(-logit))
    assert told.predicted == f"{100 * share:.1f} % yes"
    assert float(told.loss) == pytest.approx(-math.log(share), rel=1e-4)
