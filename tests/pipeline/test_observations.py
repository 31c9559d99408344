"""What a row of the epoch table says is what its numbers say: properties, and examples by hand."""

from __future__ import annotations

import math
import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from stepscope.pipeline.document import EpochRow
from stepscope.pipeline.training import curves_of, epochs_are, observe, rows_of
from stepscope.record.numbers import to_number

LOSSES = st.one_of(st.floats(1e-6, 1e6), st.floats(-10, 10), st.sampled_from([0.0, 1.0, 1.0001, math.nan, math.inf]))
ROWS = st.lists(
    st.tuples(LOSSES, st.one_of(st.none(), LOSSES), st.one_of(st.none(), st.floats(0, 1)), st.integers(0, 3)),
    min_size=1,
    max_size=6,
)


def row(number, loss, validation=None, *, accuracy=None, non_finite=0, validation_accuracy=None):
    return EpochRow(
        name=str(number),
        first_update=number,
        last_update=number,
        updates=1,
        loss=None if loss is None else to_number(loss),
        known=1,
        non_finite=non_finite,
        evaluation_loss=None if validation is None else to_number(validation),
        accuracy=accuracy,
        evaluation_accuracy=validation_accuracy,
    )


def percent_in(text):
    return float(re.search(r"(-?[\d.]+) %", text)[1]) / 100


def check(text, now, before):  # noqa: C901, PLR0912  # a branch for each kind of sentence there is
    """Fail where ``text`` contradicts the rows, by arithmetic of the test's own."""
    finite = [float(r.loss) for r in before if not isinstance(r.loss, str)]
    if text == "no loss is finite":
        assert isinstance(now.loss, str)
        return
    assert not isinstance(now.loss, str)
    loss = float(now.loss)
    if "losses are not finite" in text:
        assert now.non_finite > 0
    elif text == "the first":
        assert not finite
    elif text.startswith("fell"):
        last = finite[-1]
        assert loss < last
        assert percent_in(text) == pytest.approx((last - loss) / last, abs=6e-4)
        if "in all" in text:
            whole = percent_in(text.split(",")[1])
            assert whole == pytest.approx((finite[0] - loss) / finite[0], abs=6e-4)
            assert loss < finite[0]
    elif text.startswith("rose to"):
        assert float(re.search(r"to ([\d.e+]+) times", text)[1]) == pytest.approx(loss / finite[-1], rel=6e-3)
    elif text.startswith("rose"):
        assert loss > finite[-1]
        assert percent_in(text) == pytest.approx((loss - finite[-1]) / finite[-1], abs=6e-4)
    elif text == "did not move":
        assert loss == finite[-1]
    elif text.startswith("hardly moved"):
        assert loss != finite[-1]
        assert abs(loss - finite[-1]) / abs(finite[-1]) < 5e-4
    elif text.startswith("training loss fell"):
        assert loss < float(before[-1].loss)
        best = min(float(r.evaluation_loss) for r in before if isinstance(r.evaluation_loss, float))
        value = float(now.evaluation_loss)
        assert value > best
        if "times" in text:
            assert float(re.search(r"is ([\d.e+]+) times", text)[1]) == pytest.approx(value / best, rel=6e-3)
        else:
            assert percent_in(text) == pytest.approx(value / best - 1, abs=6e-4)
        named = re.search(r"\((\d+)\)", text)[1]
        assert float(next(r.evaluation_loss for r in before if r.name == named)) == best
    elif "points above validation" in text:
        gap = 100 * (now.accuracy - now.evaluation_accuracy)
        assert float(re.search(r"is ([\d.]+) points", text)[1]) == pytest.approx(gap, abs=0.06)
        assert gap > 0
    else:
        first, second = re.fullmatch(r"(\S+) -> (\S+)", text).groups()
        assert float(first) == pytest.approx(finite[-1], rel=1e-3)
        assert float(second) == pytest.approx(loss, rel=1e-3)


@settings(max_examples=300, deadline=None)
@given(ROWS)
def test_no_sentence_contradicts_its_numbers(values):
    rows = []
    for number, (loss, validation, accuracy, non_finite) in enumerate(values, 1):
        other = None if accuracy is None else accuracy / 2
        now = row(number, loss, validation, accuracy=accuracy, non_finite=non_finite, validation_accuracy=other)
        check(observe(now, rows), now, rows)
        rows.append(now)


EXAMPLES = [
    ([2.0], "the first"),
    ([2.0, 1.0], "fell 50.0 %"),
    ([2.0, 1.0, 0.5], "fell 50.0 %, 75.0 % in all"),
    ([1.0, 4.0, 2.0], "fell 50.0 %"),
    ([2.0, 3.0], "rose 50.0 %"),
    ([1.0, 40.0], "rose to 40 times what it was"),
    ([2.0, 2.0], "did not move"),
    ([2.0, 2.0002], "hardly moved: 2 -> 2.0002"),
    ([-1.0, -2.0], "-1 -> -2"),
    ([1.0, math.nan], "no loss is finite"),
    ([1.0, math.inf, 0.5], "fell 50.0 %"),
]


@pytest.mark.parametrize(("losses", "said"), EXAMPLES)
def test_sentences_by_hand(losses, said):
    rows = [row(number, loss) for number, loss in enumerate(losses, 1)]
    assert observe(rows[-1], rows[:-1]) == said


def test_validation_by_hand():
    rows = [row(1, 2.0, 1.0), row(2, 1.5, 0.8), row(3, 1.0, 1.0)]
    assert observe(rows[2], rows[:2]) == "training loss fell, validation loss is 25.0 % above its best (2)"
    negative = [row(1, 2.0, -1.0), row(2, 1.5, -1.0)]
    assert observe(negative[1], negative[:1]) == "fell 25.0 %"
    gap = [row(1, 2.0, 1.0), row(2, 1.5, 0.9, accuracy=0.95, validation_accuracy=0.8)]
    assert observe(gap[1], gap[:1]) == "training accuracy is 15.0 points above validation"


def test_rows_and_curves_of_a_run_are_the_tests_own_numbers(watched):
    told, validated, right = [], [], []

    def train():
        torch.manual_seed(0)
        net = nn.Linear(4, 3)
        x = torch.randn(24, 4)
        data = TensorDataset(x, (x @ torch.randn(4, 3)).argmax(1))
        loader, held = DataLoader(data, batch_size=8), DataLoader(data, batch_size=12)
        optimizer = torch.optim.SGD(net.parameters(), lr=0.5)
        for _ in range(3):
            net.train()
            epoch, hits = [], 0
            for a, b in loader:
                optimizer.zero_grad()
                out = net(a)
                loss = F.cross_entropy(out, b)
                loss.backward()
                optimizer.step()
                epoch.append(loss.item())
                hits += int((out.argmax(1) == b).sum())
            told.append(epoch)
            right.append(hits / 24)
            net.eval()
            with torch.no_grad():
                validated.append(sum(F.cross_entropy(net(a), b).item() for a, b in held) / 2)

    run = watched(train)
    rows = rows_of(run.main)
    assert epochs_are(run.main) == "epoch"
    assert [(r.name, r.first_update, r.last_update, r.updates, r.known) for r in rows] == [
        ("1", 1, 3, 3, 3),
        ("2", 4, 6, 3, 3),
        ("3", 7, 9, 3, 3),
    ]
    assert [float(r.loss) for r in rows] == pytest.approx([sum(epoch) / 3 for epoch in told], rel=1e-6)
    assert [r.accuracy for r in rows] == pytest.approx(right)
    assert [float(r.evaluation_loss) for r in rows] == pytest.approx(validated, rel=1e-6)
    fall = 100 * (1 - sum(told[1]) / sum(told[0]))
    assert rows[1].observation == f"fell {fall:.1f} %"
    training, validation = curves_of(run.main)
    flat = [loss for epoch in told for loss in epoch]
    assert [x for x, _ in training.points] == list(range(1, 10))
    assert [y for _, y in training.points] == pytest.approx(flat, rel=1e-6)
    assert validation.points == [
        (x, pytest.approx(y, rel=1e-6)) for x, y in zip((3.0, 6.0, 9.0), validated, strict=True)
    ]


def test_losses_that_are_not_finite_are_said_beside_the_others(watched):
    def train():
        net = nn.Linear(2, 1)
        optimizer = torch.optim.SGD(net.parameters(), lr=0.0)
        data = TensorDataset(torch.tensor([[1.0, 1.0], [math.nan, 1.0], [1.0, 2.0]]))
        for (x,) in DataLoader(data):
            optimizer.zero_grad()
            net(x).pow(2).sum().backward()
            optimizer.step()

    (one,) = rows_of(watched(train).main)
    assert one.observation == "2 of 3 losses are not finite"
    assert (one.known, one.non_finite) == (1, 2), "after one such step the weights are not finite either"
