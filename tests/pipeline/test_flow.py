"""Data flow stages, what is said of each, and the worked-out sum."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from stepscope.pipeline.build import build


def traced(watched, model, x, loss_of=lambda out: out.pow(2).mean()):
    def train():
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        optimizer.zero_grad()
        loss_of(model(x)).backward()
        optimizer.step()

    return build(watched(train)).update


def test_stages_have_names_depths_and_shapes(watched):
    model = nn.Sequential(nn.Linear(4, 5), nn.Sequential(nn.ReLU(), nn.Linear(5, 2)))
    update = traced(watched, model, torch.randn(3, 4))
    assert [(s.name, s.cls, s.depth, s.before, s.after) for s in update.stages] == [
        ("Sequential", "Sequential", 0, [[3, 4]], [[3, 2]]),
        ("0", "Linear", 1, [[3, 4]], [[3, 5]]),
        ("1", "Sequential", 1, [[3, 5]], [[3, 2]]),
        ("1.0", "ReLU", 2, [[3, 5]], [[3, 5]]),
        ("1.1", "Linear", 2, [[3, 5]], [[3, 2]]),
    ]
    assert update.order == ["clear", "forward", "backward", "step"]
    assert "reaching 4 parameters" in update.graph
    assert update.batch[0].shape == [3, 4]


def said(watched, layer, x):
    model = nn.Sequential(nn.Identity(), layer, nn.Flatten(0), nn.Linear(layer(x.clone()).numel(), 1))
    return next(s.did for s in traced(watched, model, x).stages if s.name == "1")


def test_what_layers_did_by_hand(watched):
    x = torch.tensor([[-1.0, 0.0, 2.0, 4.0]])
    assert said(watched, nn.ReLU(), x) == (
        "set the negative inputs to 0 and let the others pass: 50 % of its outputs are 0"
    )
    assert said(watched, nn.ReLU(inplace=True), x.clone()).startswith("set the negative inputs to 0")


def test_relu_of_nothing_negative(watched):
    assert said(watched, nn.ReLU(), torch.tensor([[0.0, 1.0]])) == "let everything pass: no input was negative"


def test_dropout_counts_only_what_it_dropped(watched):
    torch.manual_seed(0)
    x = torch.cat([torch.zeros(1, 500), torch.ones(1, 500)], 1)
    did = said(watched, nn.Dropout(0.5), x)
    share = float(did.split()[1])
    assert 20 <= share <= 30, "half of the half that was not zero before"


def test_dropout_in_evaluation(watched):
    assert said(watched, nn.Dropout(0.5).eval(), torch.ones(1, 8)) == "set nothing to 0"


def test_squashing_and_normalising(watched):
    x = torch.tensor([[-2.0, 0.0], [2.0, 4.0]])
    tanh = torch.tanh(torch.tensor([-2.0, 4.0]))
    assert said(watched, nn.Tanh(), x) == f"squashed -2 .. 4 into {tanh[0]:.3g} .. {tanh[1]:.3g}"
    y = nn.functional.layer_norm(x, (2,))
    mean, std = y.mean(), y.std(correction=0)
    assert said(watched, nn.LayerNorm(2), x) == f"mean 1 -> {mean:.3g}, std {5**0.5:.3g} -> {std:.3g}"


def test_outputs_that_are_not_finite(watched):
    class Divides(nn.Module):
        def forward(self, x):
            return x / 0

    assert said(watched, Divides(), torch.tensor([[1.0, 0.0, -1.0]])) == "3 of its outputs are not finite"


@pytest.mark.parametrize("width", [3, 7, 1500, 3072])
def test_the_worked_sum_is_the_layers_output(watched, width):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(width, 5), nn.ReLU(), nn.Linear(5, 2))
    x = torch.randn(4, width)
    expected = model[0](x)[0].detach().double()
    weights = model[0].weight.detach().clone()
    worked = traced(watched, model, x).worked
    assert (worked.layer, worked.sample, worked.terms_total) == ("0", 0, width)
    assert float(worked.recorded) == pytest.approx(expected[worked.unit].item(), rel=1e-5, abs=1e-6)
    assert float(worked.computed) == pytest.approx(float(worked.recorded), rel=1e-4, abs=1e-5)
    row = weights[worked.unit].tolist()
    for weight, value in worked.terms:
        assert x[0][row.index(weight)].item() == value
    sizes = [abs(w * v) for w, v in zip(row, x[0].tolist(), strict=True)]
    assert len(worked.terms) == min(6, width) or width == 7
    assert max(abs(w * v) for w, v in worked.terms) == pytest.approx(max(sizes))


def test_a_layer_too_wide_to_be_kept_whole_is_not_worked_out(watched):
    model = nn.Sequential(nn.Linear(9000, 3), nn.Linear(3, 2))
    worked = traced(watched, model, torch.randn(2, 9000)).worked
    assert (worked.layer, worked.terms_total) == ("1", 3)


def test_weights_before_and_after_are_told_apart(watched):
    model = nn.Linear(2, 1, bias=False)
    nn.init.ones_(model.weight)
    update = traced(watched, model, torch.tensor([[1.0, 2.0]]), lambda out: out.sum())
    (moved,) = update.moved
    assert moved.before.corner == [[1.0, 1.0]]
    assert moved.gradient.corner == [[1.0, 2.0]]
    assert moved.after.corner == [[pytest.approx(0.9), pytest.approx(0.8)]]
    assert float(moved.ratio) == pytest.approx(0.1 * 5**0.5 / 2**0.5)


def test_losses_are_in_the_document(watched):
    update = traced(watched, nn.Linear(4, 3), torch.randn(2, 4), lambda out: F.mse_loss(out, torch.zeros(2, 3)) / 2)
    (loss,) = update.losses
    assert (loss.function, loss.reduction, loss.factor) == ("mse_loss", "mean", 0.5)
    assert float(loss.value) == pytest.approx(float(update.loss))
