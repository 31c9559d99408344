"""Whatever the files of a record hold, nothing but an error of ours comes out."""

from __future__ import annotations

import contextlib
import copy
import json

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import stepscope
from stepscope.pipeline.build import build
from stepscope.render import json as json_renderer
from stepscope.render import markdown, terminal


def events_file(folder):
    return folder / "events-rank0.jsonl"


mutations = st.lists(
    st.tuples(st.floats(0, 1), st.sampled_from(["set", "cut", "insert"]), st.binary(max_size=6)), max_size=6
)


def mutate(data, changes):
    data = bytearray(data)
    for place, how, what in changes:
        at = int(place * len(data))
        if how == "set":
            data[at : at + len(what)] = what
        elif how == "insert":
            data[at:at] = what
        else:
            del data[at : at + 10 * len(what)]
    return bytes(data)


def survives(folder):
    with contextlib.suppress(stepscope.StepscopeError):
        document = build(stepscope.load(folder))
        terminal.render(document)
        markdown.render(document)
        json_renderer.render(document)


relaxed = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@relaxed
@given(mutations)
def test_mutated_events(copied, made, changes):
    events_file(copied).write_bytes(mutate(events_file(made).read_bytes(), changes))
    survives(copied)


@relaxed
@given(st.binary(max_size=400))
def test_random_bytes_as_events(copied, data):
    events_file(copied).write_bytes(data)
    survives(copied)


@relaxed
@given(st.binary(max_size=200))
def test_random_bytes_as_run_json(copied, made, data):
    (copied / "run.json").write_bytes(data)
    survives(copied)
    (copied / "run.json").write_bytes((made / "run.json").read_bytes())


@relaxed
@given(mutations)
def test_mutated_tensors(copied, made, changes):
    for file in (made / "tensors").iterdir():
        (copied / "tensors" / file.name).write_bytes(mutate(file.read_bytes(), changes))
    survives(copied)


@relaxed
@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)), max_size=8))
def test_lines_that_are_gone_or_out_of_order(copied, made, swaps):
    lines = events_file(made).read_bytes().splitlines(keepends=True)
    for a, b in swaps:
        one, other = a % len(lines), b % len(lines)
        if a % 3:
            lines[one], lines[other] = lines[other], lines[one]
        elif len(lines) > 1:
            del lines[one]
    events_file(copied).write_bytes(b"".join(lines))
    survives(copied)


# Lines that are valid but for one value: what a decoder lets through, the reading must bear.


def leaves(value, at=()):
    """The places of all plain values inside ``value``."""
    if isinstance(value, dict):
        return [place for key, item in value.items() if key != "event" for place in leaves(item, (*at, key))]
    if isinstance(value, list):
        return [(*at,)] + [place for key, item in enumerate(value) for place in leaves(item, (*at, key))]
    return [at]


others = st.sampled_from(
    [-1, 0, 1, 7, 10**9, -0.5, 1e308, "nan", "inf", "-inf", "", "x\x1b[31m", "mean", None, [], [[]], True]
)


@relaxed
@given(st.lists(st.tuples(st.floats(0, 0.999), st.floats(0, 0.999), others), min_size=1, max_size=4))
def test_one_value_is_another(copied, made, changes):
    events = [json.loads(line) for line in events_file(made).read_text().splitlines()]
    for which, where, value in changes:
        event = events[int(which * len(events))]
        places = [place for place in leaves(event) if place]
        *way, last = places[int(where * len(places))]
        inside = event
        for key in way:
            inside = inside[key]
        inside[last] = copy.deepcopy(value)
    events_file(copied).write_text("\n".join(map(json.dumps, events)) + "\n")
    survives(copied)
