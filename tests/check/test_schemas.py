"""JSON and SARIF against their schemas, and what a schema cannot say."""

from __future__ import annotations

import json as stdlib_json
from importlib.resources import files
from pathlib import Path

import msgspec
import pytest

from stepscope import rules
from stepscope.checking.explanation import explain
from stepscope.render.findings import json, sarif

jsonschema = pytest.importorskip("jsonschema")

SUBSET = Path(__file__).parent / "data" / "sarif-subset.json"


def validator(schema):
    kind = jsonschema.validators.validator_for(schema)
    kind.check_schema(schema)
    return kind(schema, format_checker=kind.FORMAT_CHECKER)


@pytest.fixture(scope="module")
def own():
    """The schema as it is shipped in the package."""
    return validator(stdlib_json.loads((files("stepscope.render.findings") / "schema.json").read_text()))


@pytest.fixture(scope="module")
def official():
    return validator(stdlib_json.loads(SUBSET.read_text()))


def test_the_report_is_as_its_schema_says(own, outcome):
    verdict = msgspec.structs.replace(outcome.verdict, defects={"a-rule": "KeyError: 3"})
    outcome = msgspec.structs.replace(outcome, verdict=verdict, suppressed=verdict.findings, absent=[1], ranks=2)
    document = stdlib_json.loads(json.render(outcome))
    own.validate(document)
    assert document["schema"] == 1
    assert document["updates"] == 200
    finding = document["findings"][0]
    assert (finding["rule"], finding["line"], finding["facts"]["worst_ratio"]) == ("stale-gradients", 7, 3.7123)
    assert document["findings"][2]["facts"]["lowest"] == "inf"
    assert finding["remedy"] == "+ optimizer.zero_grad()\n  {line}"


@pytest.mark.parametrize(
    "spoil",
    [
        lambda d: d.pop("script"),
        lambda d: d.update(schema=2),
        lambda d: d.update(more=1),
        lambda d: d["findings"][0].update(evidence="sure"),
        lambda d: d["findings"][0].update(line=-1),
        lambda d: d["findings"][0].update(rule="Stale Gradients"),
        lambda d: d["findings"][0]["facts"].update(deep={"a": 1}),
        lambda d: d["ended"].update(how="well"),
    ],
)
def test_the_schema_can_say_no(own, outcome, spoil):
    document = stdlib_json.loads(json.render(outcome))
    spoil(document)
    assert not own.is_valid(document)


def test_sarif_is_valid(official, outcome):
    verdict = msgspec.structs.replace(outcome.verdict, defects={"a-rule": "KeyError: 3"})
    outcome = msgspec.structs.replace(outcome, verdict=verdict, suppressed=verdict.findings[:1])
    log = stdlib_json.loads(sarif.render(outcome))
    official.validate(log)
    (run,) = log["runs"]
    levels = [result["level"] for result in run["results"]]
    assert levels == ["error", "note", "warning", "error"]  # the second is a hint, the fourth waved off
    for result in run["results"]:
        assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
    first, _, elsewhere, waved_off = (result["locations"][0]["physicalLocation"] for result in run["results"])
    assert first["artifactLocation"] == {"uri": "train.py", "uriBaseId": "SRCROOT"}
    assert elsewhere["artifactLocation"] == {"uri": "file:///somewhere/else/model.py"}
    assert first == waved_off
    assert [r.get("suppressions") for r in run["results"]] == [None, None, None, [{"kind": "inSource"}]]


def test_every_rule_fits_into_sarif(official, outcome):
    told = {name: explain(name, module) for name, module in rules.all_rules().items()}
    official.validate(stdlib_json.loads(sarif.render(msgspec.structs.replace(outcome, explanations=told))))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda run: run.pop("tool"),
        lambda run: run["results"][0].pop("locations"),
        lambda run: run["results"][0].update(level="fatal"),
        lambda run: run["results"][0]["locations"][0]["physicalLocation"]["region"].update(startLine=0),
        lambda run: run["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"].update(uri="/train.py"),
        lambda run: run["results"][0].update(evidence="proof"),
    ],
)
def test_the_sarif_schema_can_say_no(official, outcome, spoil):
    log = stdlib_json.loads(sarif.render(outcome))
    spoil(log["runs"][0])
    assert not official.is_valid(log)


def test_a_fingerprint_survives_lines_added_above(project, make_finding, make_outcome):
    script = project / "train.py"

    def hashes(*lines):
        outcome = make_outcome(project, [make_finding(script, line=line) for line in lines])
        results = stdlib_json.loads(sarif.render(outcome))["runs"][0]["results"]
        return [result["partialFingerprints"]["primaryLocationLineHash"] for result in results]

    before = hashes(7, 8, 7)
    assert len(set(before)) == 3
    assert before[0].split(":")[0] == before[2].split(":")[0]
    script.write_text("# one more\n# and another\n" + script.read_text(encoding="utf-8"), encoding="utf-8")
    assert hashes(9, 10, 9) == before


def test_a_finding_without_a_place_is_put_at_the_script(project, make_finding, make_outcome, official):
    log = stdlib_json.loads(sarif.render(make_outcome(project, [make_finding(None, line=0)])))
    official.validate(log)
    place = log["runs"][0]["results"][0]["locations"][0]["physicalLocation"]
    assert place == {"artifactLocation": {"uri": "train.py", "uriBaseId": "SRCROOT"}, "region": {"startLine": 1}}
