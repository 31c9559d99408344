"""What README and docs show is what happens: outputs, file tree, events, options."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

import stepscope
from stepscope.record import events as ev

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"

pytestmark = pytest.mark.skipif(not README.exists(), reason="the documentation is not part of the wheel")


def blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", path.read_text(encoding="utf-8"), flags=re.DOTALL)


def test_the_output_in_the_readme_is_the_real_one(stepscope_cli):
    done = stepscope_cli(
        "demo", "classifier", env={**__import__("os").environ, "COLUMNS": "80", "OMP_NUM_THREADS": "1"}
    )
    assert done.returncode == 0, done.stderr
    shown = [block for block in blocks(README, "text") if "src/stepscope/" not in block]
    assert len(shown) == 3
    for block in shown:
        assert block.strip("\n") in done.stdout


def test_the_file_tree_in_the_readme_names_every_package():
    tree = next(block for block in blocks(README, "text") if "src/stepscope/" in block)
    named = set(re.findall(r"^ +(\w+)/", tree, flags=re.MULTILINE))
    package = Path(stepscope.__file__).parent
    there = {p.parent.name for p in package.glob("**/__init__.py") if p.parent != package} | {"bugs"}
    assert named == there


def test_what_check_says_in_the_documents_is_what_it_says(stepscope_cli, tmp_path):
    check = ROOT / "docs" / "check.md"
    (tmp_path / "train.py").write_text(blocks(check, "python")[0])
    done = stepscope_cli("check", "train.py")
    assert done.returncode == 1, done.stderr
    for document in (check, README):
        (shown,) = (block for block in blocks(document, "console") if "error[" in block)
        command, _, output = shown.partition("\n")
        assert command == "$ stepscope check train.py"
        assert done.stdout.startswith(output)


def test_the_check_document_names_every_key_option_and_form(stepscope_cli):
    text = (ROOT / "docs" / "check.md").read_text(encoding="utf-8")
    schema = Path(stepscope.__file__).parent / "render" / "findings" / "schema.json"
    document = msgspec.json.decode(schema.read_bytes())
    keys = [*document["properties"], *document["$defs"]["finding"]["properties"]]
    assert [key for key in keys if f"`{key}`" not in text] == []
    options = set(re.findall(r"--[a-z-]+", stepscope_cli("check", "--help").stdout))
    assert {option for option in options if option not in text} <= {"--help", "--lr", "--epochs", "--argument"}


def test_the_record_document_names_every_event():
    text = (ROOT / "docs" / "record.md").read_text(encoding="utf-8")
    kinds = [
        cls.__struct_config__.tag for cls in vars(ev).values() if isinstance(cls, type) and issubclass(cls, ev.Event)
    ]
    missing = [kind for kind in kinds if kind != "Event" and f"`{kind}`" not in text]
    assert missing == []


def test_the_schema_in_the_document_is_the_one_written():
    from stepscope.record.store import SCHEMA

    assert f'"schema": {SCHEMA}' in (ROOT / "docs" / "record.md").read_text(encoding="utf-8")
    assert msgspec.json.decode(msgspec.json.encode(ev.CompilingStarted()))["event"] == "compiling-started"


def test_the_python_example_in_the_readme_runs(tmp_path, monkeypatch):
    import torch

    monkeypatch.chdir(tmp_path)
    example = next(block for block in blocks(README, "python") if "stepscope.watch" in block)

    def train(model):
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(3):
            optimizer.zero_grad()
            model(torch.randn(4, 2)).sum().backward()
            optimizer.step()

    names = {"model": torch.nn.Linear(2, 1), "train": train}
    exec(compile(example, "readme.py", "exec"), names)  # noqa: S102
    assert len(names["watched"].run.updates) == 3
