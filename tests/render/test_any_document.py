"""Whatever the numbers and names: every renderer returns text, within the width."""

from __future__ import annotations

import math
import unicodedata

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from stepscope.pipeline import document as d
from stepscope.record.look import Summary
from stepscope.render import json, markdown, terminal

numbers = st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from(["nan", "inf", "-inf"])
maybe = st.none() | numbers
#: Scripts whose width all tables agree on, and everything that must not get through.
letters = st.characters(max_codepoint=0x24F) | st.sampled_from(
    "训練语\uff21\u0301\u202e\u200d\ufeff\u2028\ud800[]|`*_<&\\"
)
texts = st.text(letters, max_size=30)
sizes = st.lists(st.integers(0, 10**7), max_size=6)
corners = st.none() | numbers | st.lists(numbers, max_size=8) | st.lists(st.lists(numbers, max_size=6), max_size=3)
counts = st.integers(0, 10**12)


def some(items, most=3):
    return st.lists(items, max_size=most)


summaries = st.builds(
    Summary,
    shape=sizes,
    dtype=texts,
    name=texts,
    low=maybe,
    high=maybe,
    mean=maybe,
    std=maybe,
    non_finite=counts,
    corner=corners,
)
optional = st.none() | summaries
stages = st.builds(
    d.Stage,
    layer=counts,
    depth=st.integers(0, 60),
    name=texts,
    cls=texts,
    did=texts,
    before=some(sizes),
    after=some(sizes),
    output=optional,
    gradient=optional,
)
steps = st.builds(d.PredictionStep, name=texts, shape=sizes, values=some(numbers, 12))
arithmetics = st.builds(
    d.Arithmetic,
    parameter=texts,
    index=some(counts),
    optimizer=texts,
    before=numbers,
    gradient=maybe,
    after=maybe,
    formula=texts,
    lines=some(texts),
    difference=maybe,
    agrees=st.none() | st.booleans(),
    why=texts,
)
updates = st.builds(
    d.UpdateTrace,
    number=counts,
    kind=texts,
    owners=some(texts),
    rounds=counts,
    loss=maybe,
    order=some(texts, 8),
    batch=some(summaries),
    stages=some(stages, 5),
    worked=st.none()
    | st.builds(
        d.Worked,
        layer=texts,
        sample=counts,
        unit=counts,
        terms=some(st.tuples(numbers, numbers)),
        terms_total=counts,
        bias=maybe,
        computed=numbers,
        recorded=numbers,
    ),
    losses=some(
        st.builds(
            d.LossPart,
            round=counts,
            function=st.none() | texts,
            value=maybe,
            reduction=st.none() | texts,
            factor=numbers,
            prediction=optional,
            target=optional,
            right=counts,
            of=counts,
        )
    ),
    graph=texts,
    moved=some(st.builds(d.Moved, name=texts, shape=sizes, gradient_norm=maybe, weight_norm=maybe, ratio=maybe)),
    arithmetic=some(arithmetics),
    prediction=st.none()
    | st.builds(
        d.PredictionTrace,
        sample=counts,
        steps=some(steps),
        probabilities=some(numbers),
        predicted=texts,
        target=texts,
        loss_text=texts,
        back=some(steps),
    ),
)
rows = st.builds(
    d.EpochRow,
    name=texts,
    first_update=counts,
    last_update=counts,
    updates=counts,
    loss=maybe,
    known=counts,
    losses=st.dictionaries(texts, numbers, max_size=3),
    accuracy=st.none() | st.floats(0, 1),
    judged=counts,
    evaluation_loss=maybe,
    evaluation_accuracy=st.none() | st.floats(0, 1),
    observation=texts,
)
points = st.tuples(st.integers(0, 10**9).map(float), numbers)
documents = st.builds(
    d.Document,
    schema=st.just(1),
    title=texts,
    record=texts,
    models=some(texts),
    optimizers=some(texts),
    updates=counts,
    update=st.none() | updates,
    epochs=some(rows, 4),
    epochs_are=texts,
    curves=some(st.builds(d.Curve, name=texts, points=some(points, 12)), 10),
    notes=some(texts),
)


def columns(line):
    return sum(
        0 if unicodedata.category(c) in {"Mn", "Me"} else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in line
    )


@settings(max_examples=40, deadline=None)
@given(documents, st.integers(60, 120), st.booleans())
def test_any_document_in_the_terminal(document, width, unicode):
    text = terminal.render(document, width=width, unicode=unicode)
    assert text.endswith("\n")
    for line in text.split("\n"):
        assert columns(line) <= width
        assert all(unicodedata.category(c) not in {"Cc", "Cf", "Cs", "Zl", "Zp"} for c in line)


@settings(max_examples=40, deadline=None)
@given(documents)
def test_any_document_in_markdown_and_json(document):
    text = markdown.render(document)
    assert text.endswith("\n")
    assert all(c == "\n" or unicodedata.category(c) not in {"Cc", "Cf", "Cs", "Zl", "Zp"} for c in text)
    back = msgspec.json.decode(json.render(document), type=d.Document)
    assert back.title == document.title.replace("\ud800", "\\ud800")
    assert [row.loss for row in back.epochs] == [row.loss for row in document.epochs]
    assert all(math.isfinite(x) for curve in back.curves for x, _ in curve.points)
