"""Epochs and evaluations, as loaders and modes tell them."""

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


def means(played, per_epoch):
    """The script's own mean loss of each epoch beside the record's."""
    own = [sum(losses) / len(losses) for losses in per_epoch]
    recorded = [sum(t.total for t in e.tallies.values()) / sum(t.known for t in e.tallies.values()) for e in played.main.epochs]
    return own, recorded


def test_epochs_over_a_loader(play):
    played = play(
        HEAD
        + """
for epoch in range(3):
    for x, y in loader:  # batch
        train(x, y)
"""
    )
    assert told(played) == [((n, n), (5 * n - 4, 5 * n), []) for n in (1, 2, 3)]
    one = "batch clear forward loss backward step"
    assert played.told()[:8] == [f"step optimizer 1: {one}"] * 8
    losses = played.names["losses"]
    own, recorded = means(played, [losses[:5], losses[5:10], losses[10:]])
    assert recorded == pytest.approx(own, rel=1e-12)


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
    assert [len(e.calls) for e in evaluations[1:]] == [0, 0]  # regular by now: told by their tallies
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
    assert [(e.after, e.calls_total, e.training) for e in played.main.evaluations] == [(2, 1, False), (4, 1, False), (6, 1, False)]


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


def test_a_loader_that_is_left_early(play):
    played = play(
        HEAD
        + """
for epoch in range(4):
    for i, (x, y) in enumerate(loader):
        train(x, y)
        if i == 1:
            break
"""
    )
    assert told(played) == [((n, n), (2 * n - 1, 2 * n), []) for n in (1, 2, 3, 4)]


def test_the_program_that_trains_one_batch(play):
    played = play(
        HEAD
        + """
for x, y in loader:  # batch
    train(x, y)
    break
"""
    )
    assert played.told() == ["step optimizer 1: batch clear forward loss backward step"]
    assert told(played) == [((1, 1), (1, 1), [])]


def test_two_loaders_side_by_side(play):
    played = play(
        HEAD
        + """
unlabelled = DataLoader(TensorDataset(torch.randn(20, 3)), batch_size=4)
for epoch in range(2):
    for (x, y), (u,) in zip(loader, unlabelled):  # batch
        optimizer.zero_grad()  # clear
        loss = cross_entropy(model(x), y) + model(u).pow(2).mean()  # forward
        loss.backward()  # backward
        optimizer.step()  # step
"""
    )
    one = "batch batch clear forward loss@forward forward backward step"
    assert played.told() == [f"step optimizer 1: {one}"] * 8
    assert [u.passes for u in played.main.updates] == [{"l1": n, "l2": n} for n in (1,) * 5 + (2,) * 3]
    assert told(played) == [((1, 1), (1, 5), []), ((2, 2), (6, 10), [])]


def test_an_iterable_dataset(play):
    played = play(
        HEAD
        + """
class Stream(IterableDataset):
    def __iter__(self):
        for i in range(3):
            yield data[i]
stream = DataLoader(Stream(), batch_size=1)
for epoch in range(2):
    for x, y in stream:  # batch
        train(x, y)
"""
    )
    assert told(played) == [((1, 1), (1, 3), []), ((2, 2), (4, 6), [])]


def test_an_endless_loader_starts_over(play):
    played = play(
        HEAD
        + """
def forever():
    while True:
        yield from loader
batches = forever()
for i in range(12):
    x, y = next(batches)  # batch
    train(x, y)
"""
    )
    assert told(played) == [((1, 1), (1, 5), []), ((2, 2), (6, 10), []), ((3, 3), (11, 12), [])]


def test_accumulation_over_the_end_of_a_pass(play):
    played = play(
        HEAD
        + """
n = 0
for epoch in range(2):
    for x, y in loader:  # batch
        cross_entropy(model(x), y).backward()  # backward
        n += 1
        if n % 2 == 0:
            optimizer.step()  # step
            optimizer.zero_grad()  # clear
"""
    )
    assert [len(u.rounds) for u in played.main.updates] == [2] * 5
    assert [u.passes for u in played.main.updates] == [{"l1": n} for n in (1, 1, 2, 2, 2)]


def test_without_a_loader_epochs_are_blocks(play):
    played = play(HEAD + "for i in range(40): train(*data.tensors)\n")
    assert [(e.first_update, e.last_update) for e in played.main.epochs][0][0] == 1
    assert played.main.epochs[-1].last_update == 40
    assert sum(t.updates for e in played.main.epochs for t in e.tallies.values()) == 40
