"""The whole document: chosen updates, scripts that only run forward, annotated source, notes."""

from __future__ import annotations

import json

import msgspec
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from stepscope.errors import NothingToShowError, UsageError
from stepscope.pipeline.build import build


def train(updates=20):
    torch.manual_seed(0)
    net = nn.Linear(4, 3)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for _ in range(updates):
        optimizer.zero_grad()
        loss = F.cross_entropy(net(torch.randn(5, 4)), torch.tensor([0, 1, 2, 0, 1]))
        loss.backward()  # here
        optimizer.step()


def test_the_first_look_or_the_one_that_is_asked_for(watched):
    run = watched(train)
    assert build(run).update.number == 1
    assert build(run, 12).update.number == 12
    with pytest.raises(
        UsageError, match=r"update 13 was not looked at closely; these were: 1, 2, 3, 4, 5, 6, 7, 8, 12"
    ):
        build(run, 13)


def test_head_and_notes(watched):
    document = build(watched(train))
    assert document.models == ["net: Linear, 15 parameters in 1 module"]
    assert document.optimizers == ["optimizer: SGD(lr=0.1) on 2 parameter tensors"]
    assert document.updates == 20
    assert document.notes == ["10 of 20 updates were looked at closely: 1, 2, 3, 4, 5, 6, 7, 8, 12, 17"]
    assert json.loads(msgspec.json.encode(document))["schema"] == 1


def test_the_source_has_its_notes_on_its_lines(watched):
    sources = {line.text.strip(): line.notes for line in build(watched(train)).source}
    assert sources["loss.backward()  # here"] == ["backward filled 2 gradients"]
    assert sources["optimizer.step()"] == ["optimizer moved 2 parameters"]
    forward = next(notes for text, notes in sources.items() if text.startswith("loss = F.cross_entropy"))
    assert forward[0] == "linear: 5x4, 3x4, 3 -> 5x3"
    assert any(note.startswith("cross_entropy = ") for note in forward)


def test_a_script_that_only_runs_forward(watched):
    def forward():
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2), nn.Softmax(1))
        net(torch.tensor([[0.5, 1.0, -1.5]]))

    document = build(watched(forward))
    update = document.update
    assert (update.number, document.updates, update.moved, update.arithmetic) == (0, 0, [], [])
    assert [stage.name for stage in update.stages] == ["Sequential", "0", "1", "2", "3"]
    assert update.prediction.steps[0].values == [0.5, 1.0, -1.5]
    assert sum(update.prediction.steps[-1].values) == pytest.approx(1.0)
    assert document.notes[0].startswith("no optimizer step was seen")
    with pytest.raises(UsageError, match="there is no update 3"):
        build(watched(forward), 3)


def test_nothing_at_all(watched):
    with pytest.raises(NothingToShowError, match="no optimizer step was seen"):
        build(watched(lambda: None))


def test_a_run_without_looks(watched):
    document = build(watched(train, looks=0))
    assert document.update is None
    assert document.updates == 20


def test_what_torch_did_is_what_the_document_says_of_a_whole_update(watched):
    """The smallest job by hand: 2 to 1, MSE on three points, one step."""

    def regression():
        net = nn.Linear(2, 1)
        with torch.no_grad():
            net.weight.zero_()
            net.bias.zero_()
        optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
        x, y = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]), torch.tensor([[3.0], [7.0], [11.0]])
        F.mse_loss(net(x), y).backward()
        optimizer.step()

    update = build(watched(regression)).update
    assert float(update.loss) == pytest.approx((9 + 49 + 121) / 3)
    weight, bias = update.moved
    # dL/dw = 2/3 * sum(-y x): -2/3 (3 + 21 + 55) and -2/3 (6 + 28 + 66); dL/db = -2/3 (3 + 7 + 11)
    assert weight.gradient.corner[0] == pytest.approx([-158 / 3, -200 / 3], rel=1e-6)
    assert bias.gradient.corner == pytest.approx([-14.0], rel=1e-6)
    assert weight.after.corner[0] == pytest.approx([1.58 / 3, 2.0 / 3], rel=1e-6)
    assert [one.agrees for one in update.arithmetic] == [True, True]
    assert update.arithmetic[0].index == [0, 1]
    assert update.worked.computed == update.worked.recorded == 0.0
