"""The small words that renderers share."""

from __future__ import annotations

import pytest

from stepscope.record.look import Summary
from stepscope.render import terminal, text


def test_magnitude_is_the_root_mean_square():
    # Values 1, 2, 3, 4: mean 2.5, population variance 1.25, mean square (1 + 4 + 9 + 16) / 4 = 7.5.
    summary = Summary(shape=[4], dtype="float32", low=1.0, high=4.0, mean=2.5, std=1.25**0.5)
    assert text.magnitude(summary) == f"{7.5**0.5:.3g}" == "2.74"


def test_magnitude_of_a_constant_is_not_nothing():
    assert text.magnitude(Summary(shape=[3], dtype="float32", low=1.0, high=1.0, mean=1.0, std=0.0)) == "1"


@pytest.mark.parametrize(
    ("summary", "expected"),
    [
        (None, ["-"]),
        (Summary(shape=[0, 3], dtype="float32"), ["-"]),
        (Summary(shape=[], dtype="float32", low=2.0, high=2.0, mean=2.0), ["2"]),
        (Summary(shape=[2], dtype="float32", low="nan", high="nan", mean="nan", non_finite=2), ["nan"]),
        (Summary(shape=[2], dtype="float32", low="-inf", high=1.0, mean="-inf"), ["-inf .. 1", "mean -inf"]),
    ],
)
def test_values(summary, expected):
    assert text.values_of(summary) == expected


@pytest.mark.parametrize(
    ("foreign", "shown"),
    [
        ("a\tb\nc", "a\ufffdb\ufffdc"),
        ("\u202eabc", "\ufffdabc"),
        ("x" * 300, "x" * 199 + "\u2026"),
        ("\ud800", "\ufffd"),
        ("naïve 训练 e\u0301", "naïve 训练 e\u0301"),
    ],
)
def test_clean(foreign, shown):
    assert text.clean(foreign) == shown


def test_long_shapes_and_small_numbers_stay_in_their_columns(document):
    """An image model's row: nothing runs into the column of the gradients."""
    import msgspec

    update = document.update
    assert update is not None
    stage = msgspec.structs.replace(
        update.stages[1],
        before=[[64, 3, 224, 224]],
        after=[[64, 64, 112, 112]],
        output=Summary(shape=[64, 64, 112, 112], dtype="float32", low=-0.00123, high=0.00456, mean=-0.000123, std=1e-3),
        did="",
    )
    update = msgspec.structs.replace(update, stages=[stage])
    lines = terminal.render(msgspec.structs.replace(document, update=update)).splitlines()
    at = next(i for i, line in enumerate(lines) if "0 Linear" in line)
    assert lines[at : at + 2] == [
        "  0 Linear         64 x 3 x 224 x 224    -0.00123 .. 0.00456                0.05",
        "                   → 64 x 64 x 112 x 112 mean -0.000123",
    ]
