"""``stepscope demo``: each of its programs, and MNIST files whole and damaged."""

from __future__ import annotations

import gzip
import os
import struct
from pathlib import Path

import pytest

DEMOS = Path(__file__).parents[2] / "src" / "stepscope" / "demos"
MNIST = Path(os.environ.get("STEPSCOPE_MNIST", Path(__file__).parents[2] / ".." / "shared" / "data" / "mnist"))


def idx(*shape, fill=1):
    size = 1
    for length in shape:
        size *= length
    body = bytes((at * fill) % 10 for at in range(size))
    return b"\x00\x00\x08" + bytes([len(shape)]) + struct.pack(f">{len(shape)}I", *shape) + body


def write_mnist(folder, *, zipped, images=None, labels=None):
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in (
        ("train-images-idx3-ubyte", images if images is not None else idx(40, 4, 4)),
        ("train-labels-idx1-ubyte", labels if labels is not None else idx(40)),
    ):
        if zipped:
            (folder / f"{name}.gz").write_bytes(data if data[:1] == b"!" else gzip.compress(data))
        else:
            (folder / name).write_bytes(data)
    return folder


def test_regression(stepscope_cli):
    # By hand: torch.manual_seed(0) gives w = (-0.005294, 0.379323), b = -0.581977; the squared errors of the
    # three points are 8.0011, 37.5697 and 86.4995, their mean is 44.0234.
    done = stepscope_cli("demo", "regression")
    assert (done.returncode, done.stderr) == (0, "")
    assert "loss before the step 44.0234, after it 6.3077\n" in done.stdout
    assert "loss mse_loss (mean) of 3 x 1 and 3 x 1 float32 = 44.0234" in done.stdout
    assert "its loss: (0.171371 - 3)^2 = 8.00114" in done.stdout
    assert abs(-0.005294 * 1 + 0.379323 * 2 - 0.581977 - 0.171371) < 5e-6
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_network(stepscope_cli):
    done = stepscope_cli("demo", "network")
    assert (done.returncode, done.stderr) == (0, "")
    assert "[1/2] a 3-4-2 network, forward only: python network.py" in done.stdout
    assert "softmax" in done.stdout.lower()
    assert done.stdout.count("One weight, worked out") == 1  # only the second one trains
    assert "1 (ReLU)" in done.stdout.split("[2/2]")[1]
    epochs = [line for line in done.stdout.splitlines() if line.startswith("epoch ")]
    assert len(epochs) == 5


def test_classifier(stepscope_cli):
    done = stepscope_cli("demo", "classifier")
    assert (done.returncode, done.stderr) == (0, "")
    assert "64 x 10 → 64 x 3" in done.stdout
    assert "5 of 5 updates were looked at closely" in done.stdout
    losses = [float(line.split()[-1]) for line in done.stdout.splitlines() if line.startswith("epoch ")]
    assert losses == sorted(losses, reverse=True)
    assert len(losses) == 5


def test_digits(stepscope_cli):
    pytest.importorskip("sklearn")
    done = stepscope_cli("demo", "digits", "--epochs", "2")
    assert done.returncode == 0, done.stderr
    assert "[2/2] one hidden ReLU layer: python digits.py --hidden 64 --epochs 2" in done.stdout
    assert "What the hidden layer changed, after the last epoch:" in done.stdout
    assert done.stdout.count("validation accuracy") >= 3
    assert done.stdout.count("Update 1 by optimizer") == 1
    assert "records: " in done.stdout


@pytest.mark.parametrize(
    ("name", "file"),
    [("digits", "digits"), ("mnist", "digits"), ("regression", "regression"), ("network", "network")],
)
def test_source_prints_the_script(stepscope_cli, name, file):
    done = stepscope_cli("demo", name, "--source")
    assert (done.returncode, done.stdout) == (0, (DEMOS / f"{file}.py").read_text())


@pytest.mark.parametrize(("zipped", "below"), [(True, ""), (False, ""), (False, "MNIST/raw")])
def test_mnist_files(stepscope_cli, tmp_path, zipped, below):
    write_mnist(tmp_path / "data" / below, zipped=zipped)
    done = stepscope_cli("demo", "mnist", "--data", tmp_path / "data", "--epochs", "1")
    assert done.returncode == 0, done.stderr
    assert "32 x 16 → 32 x 10" in done.stdout
    assert "What the hidden layer changed" in done.stdout


@pytest.mark.skipif(not MNIST.is_dir(), reason=f"no MNIST files in {MNIST}; name a folder in STEPSCOPE_MNIST")
def test_real_mnist(stepscope_cli):
    done = stepscope_cli("demo", "mnist", "--data", MNIST.resolve(), "--epochs", "1")
    assert done.returncode == 0, done.stderr
    assert "64 x 784 → 64 x 10" in done.stdout
    last = [line for line in done.stdout.splitlines() if line.startswith("validation loss")][-1]
    assert float(last.split()[-2]) > 80


@pytest.mark.parametrize(
    ("images", "labels", "says"),
    [
        (b"", None, "train-images-idx3-ubyte is no IDX file of bytes (it begins with nothing)"),
        (b"\x89PNG\r\n\x1a\n", None, "is no IDX file of bytes (it begins with 89 50 4e 47)"),
        (b"\x00\x00\x08\x03\x00\x00", None, "train-images-idx3-ubyte ends within its header"),
        (idx(40, 4, 4)[:-1], None, "should hold 640 values and holds 639"),
        (idx(40, 4, 4) + b"x", None, "should hold 640 values and holds 641"),
        (idx(39, 4, 4), None, "images of shape (39, 4, 4), labels of shape (40,)"),
        (None, idx(40, 2), "labels of shape (40, 2)"),
        (None, idx(40).replace(b"\x09", b"\x0b"), "go up to 11; those of digits end at 9"),
        (idx(0, 4, 4), idx(0), "holds no values: its sizes are (0, 4, 4)"),
    ],
    ids=["empty", "png", "header", "short", "long", "fewer", "labels-2d", "label-11", "nothing"],
)
def test_damaged_mnist_files(tmp_path, images, labels, says):
    read(write_mnist(tmp_path, zipped=False, images=images, labels=labels), says)


def test_damaged_gzip(tmp_path):
    whole = gzip.compress(idx(40, 4, 4))
    for data in (whole[:-20], b"!not gzip", whole[:30] + b"\xff\xff\xff" + whole[33:]):
        write_mnist(tmp_path, zipped=True)
        (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(data)
        read(tmp_path, "cannot read ")


def read(folder, says):
    """The reader of the demos, called as the demo calls it."""
    import runpy

    images = runpy.run_path(str(DEMOS / "images.py"))
    with pytest.raises(SystemExit) as raised:
        images["load_images"](str(folder))
    assert says in str(raised.value)


def test_no_files_at_all(stepscope_cli, tmp_path):
    pytest.importorskip("torch")
    done = stepscope_cli("demo", "mnist", "--data", tmp_path / "empty", "--epochs", "1")
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert "no MNIST files in" in done.stderr
