"""Reading a record: cut anywhere, damaged anyhow, older or newer than this version."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

import stepscope
from stepscope.errors import NewerSchemaError, NothingToShowError, RecordError, UsageError
from stepscope.pipeline.build import build
from stepscope.record import store
from stepscope.render import json as json_renderer
from stepscope.render import markdown, terminal


def events_file(folder):
    return folder / "events-rank0.jsonl"


def edit_info(folder, **changes):
    path = folder / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def show(folder):
    """Do with a record all that ``stepscope show`` can do."""
    document = build(stepscope.load(folder))
    return terminal.render(document) + markdown.render(document) + json_renderer.render(document)


def test_each_line_is_json_with_an_event(made):
    lines = events_file(made).read_text().splitlines()
    kinds = [json.loads(line, parse_constant=pytest.fail)["event"] for line in lines]
    assert kinds.count("optimizer-stepped") == 4
    assert kinds[-1] == "run-ended"


def test_run_json_says_what_ran(made):
    info = json.loads((made / "run.json").read_text())
    assert info["schema"] == store.SCHEMA
    assert info["stepscope"] == stepscope.__version__
    assert info["folder"] == str(Path.cwd())
    assert {"python", "torch", "platform", "command", "started"} <= info.keys()


def test_cut_at_every_byte_of_the_last_two_lines(copied):
    """As after ``kill -9``: all up to the last complete line is there, and nothing is raised."""
    path = events_file(copied)
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    last_two = len(lines[-1]) + len(lines[-2])
    for length in range(len(whole), len(whole) - last_two - 1, -1):
        path.write_bytes(whole[:length])
        complete = whole[:length].count(b"\n")
        # A last line that lacks nothing but its end of line is as good as complete.
        as_good = length < len(whole) and whole[length : length + 1] == b"\n"
        run = stepscope.load(copied)
        assert len(run.main.events) == complete + as_good
        assert run.main.ended is not None or complete + as_good < len(lines)
    assert "killed" in show(copied)


def test_a_cut_record_shows_what_is_complete(copied):
    path = events_file(copied)
    lines = path.read_bytes().splitlines(keepends=True)
    steps = [at for at, line in enumerate(lines) if b'"optimizer-stepped"' in line]
    path.write_bytes(b"".join(lines[: steps[2]]) + lines[steps[2]][:20])
    assert len(stepscope.load(copied).updates) == 2
    assert "2 updates" in show(copied)


def test_tensors_cut_at_every_length(copied):
    files = sorted((copied / "tensors").iterdir())
    assert files
    whole = files[0].read_bytes()
    look = stepscope.load(copied).updates[0].look
    assert look is not None
    full = stepscope.load(copied).main.values(look)
    assert full
    for length in range(len(whole)):
        files[0].write_bytes(whole[:length])
        assert store.read_tensors(copied, files[0].name) == {}
    assert "w_new = w - lr * buf" in show(copied)  # all but the larger values is in the events


def test_tensors_that_are_gone(copied):
    for file in (copied / "tensors").iterdir():
        file.unlink()
    assert "4 updates" in show(copied)


def test_tensors_are_read_from_their_folder_only(copied, tmp_path):
    (tmp_path / "secret.safetensors").write_bytes(next((copied / "tensors").iterdir()).read_bytes())
    assert store.read_tensors(copied, "../../secret.safetensors") == {}
    assert store.read_tensors(copied, str(tmp_path / "secret.safetensors")) == {}


def test_an_older_schema_is_read(copied):
    edit_info(copied, schema=0)
    for name in ("torch", "git_commit", "ranks", "platform"):
        info = json.loads((copied / "run.json").read_text())
        info.pop(name, None)
        (copied / "run.json").write_text(json.dumps(info))
    assert "4 updates" in show(copied)


def test_a_newer_schema_is_refused_with_what_to_do(copied):
    edit_info(copied, schema=store.SCHEMA + 1, script=17)  # whatever else it holds by then
    with pytest.raises(NewerSchemaError) as raised:
        stepscope.load(copied)
    assert str(raised.value) == (
        f"{copied} was written by a newer stepscope (record schema {store.SCHEMA + 1}; this one reads up to "
        f"{store.SCHEMA}). Upgrade with: pip install --upgrade stepscope"
    )


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"schema": "1"}', '{"schema": 1', "\x00\xff", '{"a": 1}'])
def test_a_damaged_run_json(copied, text):
    (copied / "run.json").write_text(text, encoding="latin-1")
    with pytest.raises(RecordError, match=r"run\.json is damaged"):
        stepscope.load(copied)


def test_folders_that_are_no_record(tmp_path):
    (tmp_path / "file").write_text("")
    for folder, why in (("file", "is not a folder"), ("none", "does not exist"), (".", "holds no run.json")):
        with pytest.raises(RecordError, match=why):
            stepscope.load(tmp_path / folder)


def test_a_record_without_events(copied):
    events_file(copied).unlink()
    with pytest.raises(NothingToShowError, match="nothing of a training at all"):
        build(stepscope.load(copied))


def test_an_update_that_was_not_looked_at(copied):
    with pytest.raises(UsageError, match="update 99 was not looked at closely; these were: 1, 2, 3, 4"):
        build(stepscope.load(copied), 99)


def test_unknown_events_and_fields_are_passed_over(copied):
    path = events_file(copied)
    more = b'{"event":"from-the-future","x":1}\n' + path.read_bytes().replace(b'"event":', b'"new":[1],"event":')
    path.write_bytes(more)
    assert "4 updates" in show(copied)


def test_names_that_are_no_unicode_are_written_out():
    line = store.to_json(store.RunInfo(schema=1, script=os.fsdecode(b"tr\xe4in.py"), arguments=["\ud800"]))
    assert json.loads(line) == {"schema": 1, "script": "tr\\udce4in.py", "arguments": ["\\ud800"]}
