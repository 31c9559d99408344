"""Loops that become regular: told in stretches, then only counted, and irregularities noticed at once."""

from __future__ import annotations

import pytest

from stepscope.record import events as ev

HEAD = """
import torch
from torch import nn
torch.manual_seed(0)
model = nn.Linear(3, 2)
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
cross_entropy = nn.functional.cross_entropy
x, y = torch.randn(4, 3), torch.randint(0, 2, (4,))
losses = []
def train(x=x, y=y):
    optimizer.zero_grad()  # clear
    output = model(x)  # forward
    loss = cross_entropy(output, y)  # loss
    losses.append(loss.item())
    loss.backward()  # backward
    optimizer.step()  # step
"""


def covered(played) -> list[int]:
    """The numbers of all updates, noted one by one or in stretches, in order."""
    numbers = [update.index for update in played.main.updates]
    for first, stretch in played.main.stretches:
        numbers += range(first, first + stretch.updates)
    return sorted(numbers)


def complete(played) -> None:
    """Every update is told exactly once, and every loss that is told is the script's own."""
    losses = played.names["losses"]
    assert played.main.update_count == len(losses)
    assert covered(played) == list(range(1, len(losses) + 1))
    for update in played.main.updates:
        assert update.loss == losses[update.index - 1]
    for first, stretch in played.main.stretches:
        assert sum(t.updates for t in stretch.tallies.values()) == stretch.updates
        if len(stretch.tallies) > 1:
            continue
        (tally,) = stretch.tallies.values()
        own = losses[first - 1 : first - 1 + stretch.updates]
        if tally.known == stretch.updates:
            assert tally.mean == pytest.approx(sum(own) / len(own), rel=1e-9)
            assert (tally.low, tally.high, tally.last) == (min(own), max(own), own[-1])
        assert all(own[offset] == value for offset, value in tally.points)


def test_a_regular_loop_is_told_in_stretches(play):
    played = play(HEAD + "for i in range(1500): train()\n")
    complete(played)
    assert len(played.main.updates) < 150
    assert all(t.known == s.updates for _, s in played.main.stretches for t in s.tallies.values())


def test_a_long_loop_is_only_counted(play):
    played = play(HEAD + "for i in range(6000): train()\n")
    complete(played)
    last = played.main.stretches[-1][1].tallies
    (tally,) = last.values()
    assert 0 < tally.known < tally.updates / 5  # asleep: one loss in thirteen


@pytest.mark.parametrize("updates", [400, 6000])
@pytest.mark.parametrize(
    "event",
    [
        "model.eval(); torch.no_grad()(model)(x); model.train()",
        "with torch.no_grad(): model(x)",
        "with torch.no_grad(): cross_entropy(model(x), y)",
    ],
)
def test_an_evaluation_after_many_updates_is_noticed(play, updates, event):
    played = play(HEAD + f"for i in range({updates}): train()\n{event}  # evaluate\nfor i in range(300): train()\n")
    complete(played)
    assert [e.after for e in played.main.evaluations] == [updates]
    (evaluation,) = played.main.evaluations
    assert [played.at(call.line) for call in evaluation.calls] == ["evaluate"]


@pytest.mark.parametrize("updates", [400, 6000])
def test_a_changed_loop_is_noticed(play, updates):
    played = play(
        HEAD
        + f"""
for i in range({updates}): train()
for i in range(300):
    optimizer.zero_grad()  # clear
    loss = cross_entropy(model(x), y)  # new-forward
    losses.append(loss.item())
    loss.backward()  # new-backward
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)  # clip
    optimizer.step()  # new-step
"""
    )
    complete(played)
    clipped = [u for u in played.main.updates if u.clips]
    assert clipped
    # The first one's beginning was still as ever: it is told as far as it was seen.
    told = "clear forward@new-forward loss@new-forward backward@new-backward clip step@new-step"
    assert {played.skeleton(u) for u in clipped[1:]} == {told}
    assert clipped[0].index <= updates + (1 if updates < 2000 else 120)


@pytest.mark.parametrize("updates", [400, 6000])
def test_a_new_optimizer_is_noticed(play, updates):
    played = play(
        HEAD
        + f"""
for i in range({updates}): train()
optimizer = adam = torch.optim.Adam(model.parameters())
for i in range(300): train()
"""
    )
    complete(played)
    seen = [e.cls for e in played.main.of(ev.OptimizerSeen)]
    assert "Adam" in seen
    owners = {owner: (first, stretch) for first, stretch in played.main.stretches for owner in stretch.tallies}
    noted = [u for u in played.main.updates if played.main.optimizers[u.owners[0]].cls == "Adam"]
    assert noted[0].index == updates + 1
    assert len(owners) == 2
    by_owner = dict.fromkeys(owners, 0)
    for _, stretch in played.main.stretches:
        for owner, tally in stretch.tallies.items():
            by_owner[owner] += tally.updates
    for update in played.main.updates:
        by_owner[update.owners[0]] += 1
    assert sorted(by_owner.values()) == sorted([updates, 300])


def test_epochs_of_a_long_run(play):
    """600 updates of 20 epochs, then asleep within the epochs of a later phase: numbers stay exact."""
    played = play(
        HEAD
        + """
from torch.utils.data import DataLoader, TensorDataset
loader = DataLoader(TensorDataset(torch.randn(120, 3), torch.randint(0, 2, (120,))), batch_size=4, shuffle=True)
val = DataLoader(TensorDataset(torch.randn(8, 3), torch.randint(0, 2, (8,))), batch_size=4)
means = []
for epoch in range(40):
    model.train()
    for bx, by in loader:  # batch
        train(bx, by)
    model.eval()
    with torch.no_grad():
        total = sum(cross_entropy(model(vx), vy).item() * 4 for vx, vy in val)
    means.append(total / 8)
"""
    )
    complete(played)
    losses = played.names["losses"]
    epochs = played.main.epochs
    assert [(e.number, e.last_number, e.first_update, e.last_update) for e in epochs] == [
        (n, n, 30 * n - 29, 30 * n) for n in range(1, 41)
    ]
    for n, epoch in enumerate(epochs):
        (tally,) = epoch.tallies.values()
        assert tally.updates == tally.known == 30
        assert tally.loss == pytest.approx(sum(losses[30 * n : 30 * n + 30]) / 30, rel=1e-9)
    assert [[e.batches for e in epoch.evaluations] for epoch in epochs] == [[2]] * 40
    found = [e.tallies[0].mean for e in played.main.evaluations]
    assert found == pytest.approx(played.names["means"], rel=1e-9)


def test_epochs_of_a_loop_that_sleeps(play):
    played = play(
        HEAD
        + """
from torch.utils.data import DataLoader, TensorDataset
loader = DataLoader(TensorDataset(torch.randn(1600, 3), torch.randint(0, 2, (1600,))), batch_size=4)
for epoch in range(12):
    for bx, by in loader:  # batch
        train(bx, by)
"""
    )
    complete(played)
    assert [(e.number, e.last_number, e.first_update, e.last_update) for e in played.main.epochs] == [
        (n, n, 400 * n - 399, 400 * n) for n in range(1, 13)
    ]
    assert [sum(t.updates for t in e.tallies.values()) for e in played.main.epochs] == [400] * 12


@pytest.mark.parametrize("updates", [300, 3000])
def test_two_alternating_optimizers_stay_exact(play, updates):
    played = play(
        HEAD
        + f"""
second = nn.Linear(3, 2)
other = torch.optim.SGD(second.parameters(), lr=0.01)
for i in range({updates}):
    train()
    other.zero_grad()
    loss = cross_entropy(second(x), y)
    losses.append(loss.item())
    loss.backward()
    other.step()
"""
    )
    complete(played)
    by_owner: dict[str, int] = {}
    for epoch in played.main.epochs:
        for owner, tally in epoch.tallies.items():
            name = played.main.optimizer_name(owner)
            by_owner[name] = by_owner.get(name, 0) + tally.updates
    assert by_owner == {"optimizer": updates, "other": updates}


def test_long_accumulation_counts_steps_not_rounds(play):
    played = play(
        HEAD
        + """
for i in range(900):
    total = 0.0
    for part in range(3):
        loss = cross_entropy(model(x), y) / 3
        total += loss.item()
        loss.backward()
    losses.append(total)
    optimizer.step()
    optimizer.zero_grad()
"""
    )
    assert played.main.update_count == 900
    losses = played.names["losses"]
    for first, stretch in played.main.stretches:
        (tally,) = stretch.tallies.values()
        own = losses[first - 1 : first - 1 + stretch.updates]
        assert tally.mean == pytest.approx(sum(own) / len(own), rel=1e-6)


def test_a_long_manual_loop(play):
    played = play(
        HEAD.replace("optimizer = ", "# optimizer = ")
        + """
w = torch.zeros(3, 2, requires_grad=True)
for i in range(900):
    loss = cross_entropy(x @ w, y)
    losses.append(loss.item())
    loss.backward()
    with torch.no_grad():
        w -= 0.01 * w.grad
    w.grad = None
"""
    )
    complete(played)


@pytest.mark.parametrize("updates", [60, 1200])
def test_an_odd_accumulation_window_stays_exact(play, updates):
    """Window lengths that change, longer than any before and shorter again."""
    played = play(
        HEAD
        + f"""
for i in range({updates}):
    total = 0.0
    for part in range(1 + i % 5):
        loss = cross_entropy(model(x), y)
        total += loss.item()
        loss.backward()
    losses.append(total)
    optimizer.step()
    optimizer.zero_grad()
"""
    )
    assert played.main.update_count == updates
    assert played.main.epochs[-1].last_update == updates
    total = sum(t.total for e in played.main.epochs for t in e.tallies.values())
    assert total == pytest.approx(sum(played.names["losses"]), rel=1e-6)
