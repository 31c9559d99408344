"""Evaluations: forward calls that no backward follows."""

from __future__ import annotations

import pytest

HEAD = """
import torch
from torch import nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset
torch.manual_seed(0)
model = nn.Linear(3, 2)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
cross_entropy = nn.functional.cross_entropy
data = TensorDataset(torch.randn(20, 3), torch.randint(0, 2, (20,)))
held = TensorDataset(torch.randn(6, 3), torch.randint(0, 2, (6,)))
loader = DataLoader(data, batch_size=4, shuffle=True)
val = DataLoader(held, batch_size=2)
losses = []
def train(x, y):
    optimizer.zero_grad()  # clear
    output = model(x)  # forward
    loss = cross_entropy(output, y)  # loss
    losses.append(loss.item())
    loss.backward()  # backward
    optimizer.step()  # step
"""


def told(played):
    """Per epoch: its passes, its updates, and the places and sizes of its evaluations."""
    return [
        (
            (epoch.number, epoch.last_number),
            (epoch.first_update, epoch.last_update),
            [(e.after, e.batches or e.calls_total) for e in epoch.evaluations],
        )
        for epoch in played.main.epochs
    ]


@pytest.mark.parametrize("mode", ["model.eval()", "pass"])
@pytest.mark.parametrize("quiet", ["torch.no_grad()", "torch.inference_mode()", "torch.set_grad_enabled(False)"])
def test_an_evaluation_over_a_loader_after_each_epoch(play, mode, quiet):
    played = play(
        HEAD
        + f"""
means, rights = [], []
for epoch in range(3):
    model.train()
    for x, y in loader:
        train(x, y)
    {mode}
    total, right = 0.0, 0
    with {quiet}:
        for x, y in val:
            output = model(x)  # evaluate
            total += cross_entropy(output, y).item() * len(y)
            right += (output.argmax(1) == y).sum().item()
    means.append(total / 6); rights.append(right)
"""
    )
    assert told(played) == [((n, n), (5 * n - 4, 5 * n), [(5 * n, 3)]) for n in (1, 2, 3)]
    evaluations = played.main.evaluations
    assert [e.loader for e in evaluations] == [evaluations[0].loader] * 3
    assert [e.number for e in evaluations] == [1, 2, 3]
    assert [played.at(call.line) for call in evaluations[0].calls] == ["evaluate"] * 3
    tallies = [e.tallies for e in evaluations]
    assert [len(t) for t in tallies] == [1, 1, 1]
    assert [t[0].mean for t in tallies] == pytest.approx(played.names["means"], rel=1e-9)
    assert [t[0].right for t in tallies] == played.names["rights"]


def test_a_metric_of_the_training_output_is_no_evaluation(play):
    played = play(
        HEAD
        + """
for i in range(30):
    optimizer.zero_grad()
    x, y = data.tensors
    output = model(x)
    loss = cross_entropy(output, y)
    with torch.no_grad():
        early = cross_entropy(output, y, label_smoothing=0.1)
    loss.backward()
    optimizer.step()
    with torch.no_grad():
        late = nn.functional.mse_loss(output.detach()[:, 0], y.float())
"""
    )
    assert played.main.evaluations == []
    assert played.main.update_count == 30


def test_two_losses_of_one_evaluation(play):
    played = play(
        HEAD
        + """
for epoch in range(4):
    for x, y in loader:
        train(x, y)
    with torch.no_grad():
        for x, y in val:
            output = model(x)
            cross_entropy(output, y)
            nn.functional.mse_loss(output[:, 0], y.float())
"""
    )
    assert [[(t.function, t.losses, t.batches) for t in e.tallies] for e in played.main.evaluations] == [
        [("cross_entropy", 3, 3), ("mse_loss", 3, 3)]
    ] * 4


def test_two_loaders_are_two_evaluations(play):
    played = play(
        HEAD
        + """
other = DataLoader(held, batch_size=3)
for epoch in range(4):
    for x, y in loader:
        train(x, y)
    model.eval()
    with torch.no_grad():
        for held_out in (val, other):
            for x, y in held_out:
                cross_entropy(model(x), y)
    model.train()
"""
    )
    assert [(e.after, e.loader, e.number, e.batches) for e in played.main.evaluations] == [
        entry for n in (1, 2, 3, 4) for entry in ((5 * n, "l2", n, 3), (5 * n, "l3", n, 2))
    ]


def test_an_evaluation_that_records_gradients_is_one_all_the_same(play):
    """Somebody forgot ``no_grad``: the calls were followed by no backward."""
    played = play(
        HEAD
        + """
for epoch in range(2):
    for x, y in loader:
        train(x, y)
    model.eval()
    for x, y in val:
        cross_entropy(model(x), y)  # evaluate
    model.train()
"""
    )
    assert told(played) == [((1, 1), (1, 5), [(5, 3)]), ((2, 2), (6, 10), [(10, 3)])]
    assert all(call.grad for e in played.main.evaluations for call in e.calls)
    assert [len(u.rounds[0].calls) for u in played.main.updates if u.rounds] == [1] * len(played.main.updates)


def test_an_evaluation_in_the_middle_of_an_epoch(play):
    played = play(
        HEAD
        + """
for epoch in range(2):
    for i, (x, y) in enumerate(loader):
        train(x, y)
        if i == 2:
            with torch.no_grad():
                for vx, vy in val:
                    model(vx)
"""
    )
    assert told(played) == [((1, 1), (1, 5), [(3, 3)]), ((2, 2), (6, 10), [(8, 3)])]


def test_evaluations_without_a_loader(play):
    played = play(
        HEAD
        + """
x, y = data.tensors
for i in range(6):
    model.train()
    train(x, y)
    if i % 2:
        model.eval()
        with torch.inference_mode():
            model(held.tensors[0])
"""
    )
    assert played.told() == ["step optimizer 1: clear forward loss backward step"] * 6
    assert [(e.after, e.calls_total, e.training) for e in played.main.evaluations] == [
        (2, 1, False),
        (4, 1, False),
        (6, 1, False),
    ]


def test_an_evaluation_before_training(play):
    played = play(
        HEAD
        + """
model.eval()
with torch.no_grad():
    model(held.tensors[0])
model.train()
for i in range(3):
    train(*data.tensors)
with torch.no_grad():
    model(held.tensors[0])
"""
    )
    assert [(e.after, e.calls_total) for e in played.main.evaluations] == [(0, 1), (3, 1)]
