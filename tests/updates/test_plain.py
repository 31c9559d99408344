"""The plain loop, in each usual order; accumulation."""

from __future__ import annotations

import pytest

HEAD = """
import torch
torch.manual_seed(0)
model = torch.nn.Linear(3, 2)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
x, y = torch.randn(4, 3), torch.randint(0, 2, (4,))
cross_entropy = torch.nn.functional.cross_entropy
losses = []
"""

FORWARD = """
    output = model(x)  # forward
    loss = cross_entropy(output, y)  # loss
    losses.append(loss.item())
"""

CLEAR = "    optimizer.zero_grad()  # clear\n"
BACKWARD = "    loss.backward()  # backward\n"
STEP = "    optimizer.step()  # step\n"

ORDERS = {
    "clear first": (
        CLEAR + FORWARD + BACKWARD + STEP,
        ["clear forward loss backward step"] * 3,
    ),
    "clear before backward": (
        FORWARD + CLEAR + BACKWARD + STEP,
        ["forward loss clear backward step"] * 3,
    ),
    "clear last": (
        FORWARD + BACKWARD + STEP + CLEAR,
        ["forward loss backward step", *["clear forward loss backward step"] * 2],
    ),
    "clear twice": (
        CLEAR + FORWARD + CLEAR + BACKWARD + STEP + CLEAR,
        ["clear forward loss clear backward step", *["clear clear forward loss clear backward step"] * 2],
    ),
    "clear of the module": (
        FORWARD + "    model.zero_grad()  # clear\n" + BACKWARD + STEP,
        ["forward loss clear backward step"] * 3,
    ),
    "clear by assignment": (
        FORWARD + "    for p in model.parameters(): p.grad = None\n" + BACKWARD + STEP,
        ["forward loss backward step", *["forward loss clear@- backward step"] * 2],
    ),
    "clear in place": (
        FORWARD + BACKWARD + STEP + "    for p in model.parameters(): p.grad.zero_()\n",
        ["forward loss backward step", *["forward loss clear@- backward step"] * 2],
    ),
    "clear in place behind autograd's back": (
        FORWARD + BACKWARD + STEP + "    for p in model.parameters(): p.grad.data.zero_()\n",
        ["forward loss backward step", *["forward loss clear@- backward step"] * 2],
    ),
    "never cleared": (
        FORWARD + BACKWARD + STEP,
        ["forward loss backward step"] * 3,
    ),
    "in one line": (
        CLEAR
        + "    loss = cross_entropy(model(x), y); losses.append(loss.item())  # forward\n"
        + "    loss.backward(); optimizer.step()  # step\n",
        ["clear forward loss@forward backward@step step"] * 3,
    ),
}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("looks", ["auto", 0])
def test_each_order_of_the_plain_loop(play, order, looks):
    body, skeletons = ORDERS[order]
    played = play(HEAD + "for _ in range(3):\n" + body, looks=looks)
    told = [f"step optimizer 1: {skeleton}" for skeleton in skeletons]
    noted = len(played.told())
    assert noted == 3 if looks == "auto" else noted >= 2  # without looks the third is told in few words
    assert played.told() == told[:noted]
    assert played.losses() == played.names["losses"][:noted]
    assert played.main.update_count == 3


def test_a_criterion_object_is_a_loss_and_no_forward(play):
    played = play(
        HEAD
        + """
criterion = torch.nn.CrossEntropyLoss()
for _ in range(2):
    optimizer.zero_grad()  # clear
    loss = criterion(model(x), y)  # forward
    loss.backward()  # backward
    optimizer.step()  # step
"""
    )
    assert played.told() == ["step optimizer 1: clear forward loss@forward backward step"] * 2
    assert [played.models(u.rounds[0]) for u in played.main.updates] == ["model"] * 2


def test_accumulation_with_a_leftover_window(play):
    played = play(
        HEAD
        + """
windows, window = [], []
for i in range(7):
    output = model(x)  # forward
    loss = cross_entropy(output, y) / 3  # loss
    window.append(loss.item())
    loss.backward()  # backward
    if (i + 1) % 3 == 0 or i == 6:
        optimizer.step()  # step
        optimizer.zero_grad()  # clear
        windows.append(window)
        window = []
"""
    )
    one = "forward loss backward"
    assert played.told() == [
        f"step optimizer 3: {one} {one} {one} step",
        f"step optimizer 3: clear {one} {one} {one} step",
        f"step optimizer 1: clear {one} step",
    ]
    assert [[r.value for r in u.rounds] for u in played.main.updates] == played.names["windows"]
    assert not played.main.unstepped


def test_a_leftover_window_that_no_step_uses_stays_unstepped(play):
    played = play(
        HEAD
        + """
for i in range(5):
    loss = cross_entropy(model(x), y)  # forward
    loss.backward()  # backward
    if (i + 1) % 2 == 0:
        optimizer.step()  # step
        optimizer.zero_grad()  # clear
"""
    )
    assert [len(u.rounds) for u in played.main.updates] == [2, 2]
    assert [played.at(r.line) for r in played.main.unstepped] == ["backward"]


def test_a_round_that_is_cleared_before_a_step_is_discarded(play):
    played = play(
        HEAD
        + """
for _ in range(2):
    cross_entropy(model(x), y).backward()  # first
    optimizer.zero_grad()  # clear
    cross_entropy(model(x), y).backward()  # second
    optimizer.step()  # step
    optimizer.zero_grad()  # again
"""
    )
    assert played.rounds() == [["second"], ["second"]]
    assert [[played.at(r.line) for r in u.discarded] for u in played.main.updates] == [["first"], ["first"]]


def test_settings_may_be_numbers_of_numpy(play):
    played = play(
        HEAD
        + """
import numpy as np
for rate in np.linspace(0.1, 0.2, 3):
    optimizer.param_groups[0]["lr"] = rate
    optimizer.param_groups[0]["weight_decay"] = np.float32(0)
    optimizer.param_groups[0]["note"] = np.int64(3)
    optimizer.zero_grad()
    cross_entropy(model(x), y).backward()
    optimizer.step()
"""
    )
    assert [update.steps[0].rates for update in played.main.updates] == [[0.1], [0.15000000000000002], [0.2]]


def test_a_record_takes_numbers_that_json_does_not_know():
    import numpy as np

    from stepscope.record.store import to_json

    assert to_json([np.float64(0.5), np.float64("nan")]) == b'[0.5,"nan"]'
    with pytest.raises(TypeError, match="a record cannot hold object"):
        to_json(object())
