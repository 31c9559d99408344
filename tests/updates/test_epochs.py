"""Epochs, as loaders tell them."""

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
    recorded = [
        sum(t.total for t in e.tallies.values()) / sum(t.known for t in e.tallies.values()) for e in played.main.epochs
    ]
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
    assert played.main.epochs[0].first_update == 1
    assert played.main.epochs[-1].last_update == 40
    assert sum(t.updates for e in played.main.epochs for t in e.tallies.values()) == 40


def test_a_loader_made_anew_for_each_epoch_feeds_epochs(watched):
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    def train():
        data = TensorDataset(torch.randn(12, 3), torch.randn(12, 1))
        model = torch.nn.Linear(3, 1)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
        for _ in range(4):
            loader = DataLoader(data, batch_size=4, shuffle=True)
            for x, y in loader:
                optimizer.zero_grad()
                torch.nn.functional.mse_loss(model(x), y).backward()
                optimizer.step()

    run = watched(train)
    assert list(run.main.loaders) == ["l1"]
    assert [(e.number, e.first_update, e.last_update) for e in run.epochs] == [
        (1, 1, 3),
        (2, 4, 6),
        (3, 7, 9),
        (4, 10, 12),
    ]
