"""The programs that every tutorial shows, unchanged under ``trace``: same output, and their whole trace."""

from __future__ import annotations

import json
from itertools import permutations

import pytest

import stepscope

REGRESSION = """
import torch
import torch.nn as nn

torch.manual_seed(42)
X = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
y = torch.tensor([[3.0], [7.0], [11.0]])
model = nn.Linear(2, 1)
criterion = nn.MSELoss()
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
for epoch in range(20):
    predictions = model(X)
    loss = criterion(predictions, y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if epoch % 5 == 0:
        print(f"Epoch {epoch}, Loss: {loss.item():.4f}")
"""

ONE_BATCH = """
import torch
from torch import nn, optim
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
data = TensorDataset(torch.rand(200, 1, 28, 28), torch.randint(0, 10, (200,)))
trainloader = DataLoader(data, batch_size=64, shuffle=True)
model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10), nn.LogSoftmax(dim=1))
criterion = nn.NLLLoss()
optimizer = optim.SGD(model.parameters(), lr=0.003)
for images, labels in trainloader:
    optimizer.zero_grad()
    output = model(images)
    loss = criterion(output, labels)
    loss.backward()
    optimizer.step()
    break
print("Training loss:", loss.item())
"""


def traced(path, stepscope_cli, python):
    """The trace as JSON, after a check that the script's own output is what it is without us."""
    bare = python(path)
    assert bare.returncode == 0, bare.stderr
    done = stepscope_cli("trace", "--format", "json", "--record", "rec", path)
    assert (done.returncode, done.stderr) == (0, bare.stdout)
    return json.loads(done.stdout)


def test_linear_regression(script, stepscope_cli, python, tmp_path):
    document = traced(script(REGRESSION), stepscope_cli, python)
    assert document["updates"] == 20
    update = document["update"]
    assert update["order"] == ["forward", "loss", "clear", "backward", "step"]
    assert [stage["cls"] for stage in update["stages"]] == ["Linear", "MSELoss"]
    assert update["arithmetic"][0]["agrees"] is True
    losses = [row["loss"] for row in document["epochs"]]
    assert sum(row["updates"] for row in document["epochs"]) == 20
    assert losses[-1] < losses[0]
    printed = float(python(tmp_path / "script.py").stdout.split()[3])
    assert round(losses[0], 4) == printed


def test_one_layer_one_batch_and_break(script, stepscope_cli, python):
    document = traced(script(ONE_BATCH), stepscope_cli, python)
    assert document["updates"] == 1
    update = document["update"]
    assert update["order"] == ["batch", "clear", "forward", "loss", "backward", "step"]
    assert [stage["cls"] for stage in update["stages"]] == ["Sequential", "Flatten", "Linear", "LogSoftmax", "NLLLoss"]
    assert update["stages"][1]["before"] == [[64, 1, 28, 28]]
    assert update["stages"][1]["after"] == [[64, 784]]
    assert update["losses"][0]["of"] == 64
    assert len(document["epochs"]) == 1


#: clear may come anywhere but between backward and step; forward, loss, backward, step are in order.
ORDERS = [
    order
    for order in permutations(["clear", "forward", "loss", "backward", "step"])
    if [phase for phase in order if phase != "clear"] == ["forward", "loss", "backward", "step"]
    and order.index("clear") != order.index("backward") + 1
]


@pytest.mark.parametrize("order", ORDERS, ids="-".join)
def test_the_plain_loop_in_each_usual_order(order, record):
    import torch

    from stepscope.pipeline.build import build

    torch.manual_seed(0)
    model = torch.nn.Linear(4, 3)
    criterion = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    inputs, targets = torch.randn(8, 4), torch.randint(0, 3, (8,))
    lines = {
        "clear": "optimizer.zero_grad()",
        "forward": "logits = model(inputs)",
        "loss": "loss = criterion(logits, targets)",
        "backward": "loss.backward()",
        "step": "optimizer.step()",
    }
    loop = "for _ in range(5):\n" + "".join(f"    {lines[phase]}\n" for phase in order)
    names = {"model": model, "criterion": criterion, "optimizer": optimizer, "inputs": inputs, "targets": targets}
    with stepscope.watch(record):
        exec(compile(loop, __file__, "exec"), names)  # noqa: S102  # the loop in this very order
    run = stepscope.load(record)
    assert [update.kind for update in run.updates] == ["step"] * 5
    # Clearing at the end of the loop belongs to the update that comes next, but for the first.
    first = tuple(phase for phase in order if not (phase == "clear" and order[-1] == "clear"))
    assert tuple(build(run).update.order) == first
    second = ("clear", *first) if order[-1] == "clear" else order
    assert tuple(phase for phase, _ in run.updates[1].lines) == second
    assert [len(update.rounds) for update in run.updates] == [1] * 5
    assert [len(update.discarded) for update in run.updates] == [0] * 5
