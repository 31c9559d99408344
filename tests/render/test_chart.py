"""The chart: what it draws, where, and that no numbers break it."""

from __future__ import annotations

import pytest

from stepscope.pipeline.document import Curve
from stepscope.render import chart

LARGEST = 1.7976931348623157e308


def draw(*curves, width=40, height=5, unicode=False):
    return chart.draw(
        [Curve(name=f"c{i}", points=points) for i, points in enumerate(curves)], width, height, unicode=unicode
    )


def test_a_falling_line_to_the_letter():
    assert draw([(1.0, 4.0), (2.0, 3.0), (3.0, 2.0), (4.0, 1.0), (5.0, 0.0)], width=24) == (
        " 4|*****\n"
        "  |    *****\n"
        " 2|        *****\n"
        "  |            *****\n"
        " 0|                *****\n"
        "   1            update 5"
    )


def test_a_constant_is_a_line_in_the_middle():
    lines = draw([(1.0, 7.0), (2.0, 7.0), (3.0, 7.0)]).splitlines()
    assert [line.count("*") for line in lines] == [0, 0, 37, 0, 0, 0]
    assert lines[2].startswith(" 7|")
    assert [line.strip() for line in lines[:5]].count("|") == 4


def test_a_constant_has_no_gap_in_braille():
    lines = draw([(1.0, 7.0), (2.0, 7.0), (3.0, 7.0), (4.0, 7.0)], unicode=True).splitlines()
    assert lines[2] == " 7┤" + "\u2824" * 37


@pytest.mark.parametrize(
    "points",
    [
        [],
        [(1.0, 2.0)],
        [(1.0, "nan"), (2.0, "inf")],
        [(1.0, "nan"), (2.0, 3.0)],
        [(3.0, 1.0), (3.0, 2.0)],
    ],
    ids=["none", "one", "not-finite", "one-finite", "one-update"],
)
def test_too_little_to_draw(points):
    assert draw(points) == ""


@pytest.mark.parametrize(
    ("low", "high"),
    [(-LARGEST, LARGEST), (0.0, LARGEST), (0.0, 5e-324), (1e20, 1e20), (LARGEST, LARGEST), (1.0, 1.0 + 2.3e-16)],
)
@pytest.mark.parametrize("unicode", [True, False])
def test_extreme_ranges(low, high, unicode):
    text = draw([(1.0, high), (2.0, low), (3.0, "nan"), (4.0, "-inf"), (5.0, high)], unicode=unicode)
    assert max(map(len, text.splitlines())) <= 40
    assert len(text.splitlines()) == 6


def test_labels_tell_near_values_apart():
    text = draw([(1.0, 2.30001), (2.0, 2.30002)])
    labels = [line.split("|")[0].strip() for line in text.splitlines() if "|" in line]
    assert [label for label in labels if label] == ["2.30002", "2.300015", "2.30001"]


def test_several_curves_have_marks_and_a_legend():
    text = draw([(1.0, 1.0), (4.0, 1.0)], [(1.0, 2.0), (4.0, 2.0)], [(2.0, 3.0)])
    assert text.splitlines()[-1].split() == ["*", "c0", "o", "c1", "+", "c2"]
    top = text.splitlines()[0]
    assert top.count("+") == 1


def test_the_legend_stays_within_the_width():
    names = [Curve(name="\x1b[31m" + "long " * 10, points=[(1.0, 1.0), (2.0, 2.0)]) for _ in range(20)]
    text = chart.draw(names, 60, 5)
    assert max(map(len, text.splitlines())) <= 60
    assert "\x1b" not in text


def test_ascii_is_ascii():
    assert draw([(1.0, 1.0), (4.0, 3.0)], [(1.0, 2.0)]).isascii()
