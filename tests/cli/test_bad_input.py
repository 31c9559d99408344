"""Scripts that go wrong, or do nothing that can be shown: a clear sentence, the right exit code."""

from __future__ import annotations

import json

import pytest

import stepscope


def trace(stepscope_cli, path, *arguments, **options):
    done = stepscope_cli("trace", "--record", "rec", path, *arguments, **options)
    assert "defect of stepscope" not in done.stderr
    assert "stepscope/src" not in done.stderr
    return done


def test_a_syntax_error_is_pythons_own(script, stepscope_cli, python):
    path = script("def f(:\n    pass\n")
    done, bare = trace(stepscope_cli, path), python(path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == bare.stderr


@pytest.mark.parametrize("data", [b"\x00\x01\x7fELF\x00", b"x = '\xff\xfe'\n"])
def test_a_binary_file(tmp_path, stepscope_cli, data):
    (tmp_path / "binary.py").write_bytes(data)
    done = trace(stepscope_cli, "binary.py")
    assert done.returncode in {1, 2}
    assert done.stdout == ""
    assert "Error" in done.stderr or "no Python source" in done.stderr
    assert "Traceback" not in done.stderr


def test_no_torch(script, stepscope_cli):
    done = trace(stepscope_cli, script("print('hello')"))
    assert (done.returncode, done.stdout) == (0, "hello\n")
    assert done.stderr == "stepscope: the script never imported torch, so there was nothing to watch\n"


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("import torch\nprint('x')", "nothing of a training at all"),
        (
            "import torch\nm = torch.nn.Linear(1, 1)\no = torch.optim.SGD(m.parameters(), lr=1.0)\nprint('x')",
            "1 optimizer",
        ),
    ],
)
def test_a_script_that_never_trains(script, stepscope_cli, text, seen):
    done = trace(stepscope_cli, script(text))
    assert (done.returncode, done.stdout) == (0, "x\n")
    assert done.stderr == (
        f"stepscope: no optimizer step was seen, and no update without an optimizer either; what was seen: {seen}\n"
    )


def test_a_script_that_only_predicts(script, stepscope_cli):
    done = trace(stepscope_cli, script("import torch\nm = torch.nn.Linear(2, 1)\nm(torch.ones(3, 2))"))
    assert done.returncode == 0
    assert "What ran (no update was made)" in done.stdout
    assert "3 x 2 → 3 x 1" in done.stdout
    assert "what was seen: 1 forward call" in " ".join(done.stdout.split())


def test_a_crash_in_the_first_forward(script, stepscope_cli, python):
    path = script("""
        import torch
        model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Linear(4, 1))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        loss = model(torch.ones(5, 2)).mean()
        loss.backward()
    """)
    done, bare = trace(stepscope_cli, path), python(path)
    assert done.returncode == bare.returncode == 1
    assert done.stderr == bare.stderr  # the traceback, without a frame of ours
    lines = done.stdout.splitlines()
    assert next(line for line in lines if line.startswith("  0 Linear")).split()[2:8] == ["5", "x", "2", "→", "5", "x"]
    assert next(line for line in lines if line.startswith("  1 Linear")).split()[2:7] == ["5", "x", "3", "→", "?"]


def test_a_crash_after_updates_shows_them(script, stepscope_cli, tmp_path):
    done = trace(
        stepscope_cli,
        script("""
        import torch
        weight = torch.zeros(2, requires_grad=True)
        optimizer = torch.optim.SGD([weight], lr=0.1)
        for update in range(9):
            optimizer.zero_grad()
            (weight - 1).pow(2).sum().backward()
            optimizer.step()
            if update == 1:
                raise RuntimeError("enough")
    """),
    )
    assert done.returncode == 1
    assert done.stderr.endswith("RuntimeError: enough\n")
    assert "2 updates" in done.stdout
    ended = stepscope.load(tmp_path / "rec").main.ended
    assert ended is not None
    assert (ended.reason, ended.message) == ("exception", "RuntimeError: enough")


def test_a_model_without_parameters(script, stepscope_cli):
    done = trace(
        stepscope_cli,
        script("""
        import torch
        model = torch.nn.ReLU()
        weight = torch.ones(3, requires_grad=True)
        optimizer = torch.optim.SGD([weight], lr=0.1)
        for _ in range(2):
            optimizer.zero_grad()
            model(weight * 2).sum().backward()
            optimizer.step()
    """),
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "w_new = w - lr * g" in done.stdout
    assert "  w_new = 1 - 0.1 * 2 = 0.8" in done.stdout  # the gradient of sum(relu(2 w)) is 2


def test_nan_everywhere(script, stepscope_cli, tmp_path):
    path = script("""
        import torch
        model = torch.nn.Linear(4, 3)
        torch.nn.init.constant_(model.weight, float("nan"))
        optimizer = torch.optim.Adam(model.parameters())
        for _ in range(3):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(torch.full((8, 4), float("nan"))), torch.arange(8) % 3).backward()
            optimizer.step()
    """)
    done = trace(stepscope_cli, path)
    assert (done.returncode, done.stderr) == (0, "")
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert done.stdout.count("no loss is finite") == 3
    assert "24 of its outputs are not finite" in done.stdout
    shown = stepscope_cli("show", "rec", "--format", "json").stdout
    document = json.loads(shown, parse_constant=pytest.fail)
    assert document["update"]["loss"] == document["epochs"][0]["loss"] == "nan"


def test_zero_size_batches_and_integer_models(script, stepscope_cli):
    done = trace(
        stepscope_cli,
        script("""
        import torch
        class Table(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.rows = torch.nn.Parameter(torch.ones(3, dtype=torch.int64), requires_grad=False)
            def forward(self, index):
                return self.rows[index]
        table, model = Table(), torch.nn.Linear(4, 3)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(3):
            optimizer.zero_grad()
            table(torch.tensor([0, 2]))
            model(torch.zeros(0, 4)).sum().backward()
            optimizer.step()
    """),
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "0 x 4 → 0 x 3" in done.stdout
    assert "3 updates" in done.stdout


@pytest.mark.parametrize("name", ["a dir/my train.py", "träin 训练 \U0001f600.py", b"latin\xe4.py"])
def test_paths_with_spaces_unicode_and_bytes(tmp_path, stepscope_cli, recorded, name):
    import os

    path = tmp_path / os.fsdecode(name)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes((recorded / "train.py").read_bytes())
    done = stepscope_cli("trace", "--format", "json", path, "an argument")
    assert done.returncode == 0, done.stderr
    assert done.stderr == "trained\n"
    document = json.loads(done.stdout)
    assert document["updates"] == 3
    assert stepscope.load(document["record"]).info.arguments == ["an argument"]
