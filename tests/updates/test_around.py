"""What stands around the loop: loss scaling, schedulers, clipping, a teacher."""

from __future__ import annotations

import pytest

from stepscope.record.events import ScalerUsed

HEAD = """
import torch
from torch import nn
torch.manual_seed(0)
model = nn.Linear(3, 2)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
x, y = torch.randn(4, 3), torch.randint(0, 2, (4,))
cross_entropy = nn.functional.cross_entropy
"""


def test_a_grad_scaler_that_steps_and_skips(play):
    """A skipped step is no update; its rounds' gradients are cleared and discarded."""
    played = play(
        HEAD
        + """
scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
losses = []
for i in range(4):
    optimizer.zero_grad()  # clear
    with torch.autocast("cpu", dtype=torch.float16):
        output = model(x if i != 1 else x * float("inf"))  # forward
    loss = cross_entropy(output.float(), y)  # loss
    losses.append(loss.item())
    scaler.scale(loss).backward()  # backward
    scaler.unscale_(optimizer)  # unscale
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)  # clip
    scaler.step(optimizer)  # step
    scaler.update()  # update
"""
    )
    one = "clear forward loss backward clip step"
    assert played.told() == [
        f"step optimizer 1: {one}",
        f"step optimizer 1: clear forward loss backward clip {one}",
        f"step optimizer 1: {one}",
    ]
    losses = played.names["losses"]
    assert played.losses() == [losses[0], losses[2], losses[3]]
    assert [len(u.discarded) for u in played.main.updates] == [0, 1, 0]
    actions = [(e.action, played.at(e.line)) for e in played.main.of(ScalerUsed)]
    stepped = [("scale", "backward"), ("unscale", "unscale"), ("step", "step"), ("update", "update")]
    skipped = [*stepped[:3], ("skip", "step"), stepped[3]]
    assert actions == stepped + skipped + stepped + stepped
    scales = {r.backward.scale for u in played.main.updates for r in u.rounds}
    assert scales == {1024.0, 512.0}


SCHEDULERS = {
    "StepLR": "torch.optim.lr_scheduler.StepLR(optimizer, 2)",
    "OneCycleLR": "torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.5, total_steps=10)",
    "SequentialLR": (
        "torch.optim.lr_scheduler.SequentialLR(optimizer, "
        "[torch.optim.lr_scheduler.LinearLR(optimizer), torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)], [2])"
    ),
    "ReduceLROnPlateau": "torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0)",
    "CosineAnnealingWarmRestarts": "torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, 2)",
    "LambdaLR": "torch.optim.lr_scheduler.LambdaLR(optimizer, lambda n: 1 / (n + 1))",
}


@pytest.mark.parametrize("name", SCHEDULERS)
def test_each_scheduler_steps_once_an_update(play, name):
    """Making a scheduler steps it, and some step others: only the script's own steps are told."""
    metric = "1.0" if name == "ReduceLROnPlateau" else ""
    played = play(
        HEAD
        + f"""
scheduler = {SCHEDULERS[name]}
rates = []
for i in range(4):
    optimizer.zero_grad()  # clear
    loss = cross_entropy(model(x), y)  # forward
    loss.backward()  # backward
    rates.append(optimizer.param_groups[0]["lr"])
    optimizer.step()  # step
    scheduler.step({metric})  # schedule
"""
    )
    one = "clear forward loss@forward backward step"
    assert played.told() == [f"step optimizer 1: {one}", *[f"step optimizer 1: schedule {one}"] * 3]
    assert [u.steps[0].rates for u in played.main.updates] == [[rate] for rate in played.names["rates"]]
    assert len({s.id for s in played.main.schedulers.values() if s.cls == name}) == 1


@pytest.mark.parametrize(
    ("call", "by"),
    [
        ("nn.utils.clip_grad_norm_(model.parameters(), 0.5)", "norm"),
        ("nn.utils.clip_grad_value_(model.parameters(), 0.5)", "value"),
        ("clip_by_norm(list(model.parameters()), max_norm=0.5)", "norm"),
        ("clip_by_value(list(model.parameters()), 0.5)", "value"),
    ],
)
def test_clipping_by_either_name(play, call, by):
    import builtins

    from torch.nn.utils import clip_grad_norm_, clip_grad_value_

    # Imported before the watch, as a library does that keeps the names.
    builtins.clip_by_norm, builtins.clip_by_value = clip_grad_norm_, clip_grad_value_
    try:
        played = play(
            HEAD
            + f"""
for i in range(2):
    optimizer.zero_grad()  # clear
    cross_entropy(model(x), y).backward()  # backward
    {call}  # clip
    optimizer.step()  # step
"""
        )
    finally:
        del builtins.clip_by_norm, builtins.clip_by_value
    assert played.told() == ["step optimizer 1: clear forward@backward loss@backward backward clip step"] * 2
    clips = [clip for update in played.main.updates for clip in update.clips]
    assert [(c.by, c.limit, c.parameters, c.with_gradient) for c in clips] == [(by, 0.5, 2, 2)] * 2
    assert [c.owners for c in clips] == [u.owners for u in played.main.updates]


def test_a_teacher_inside_a_round_is_no_evaluation(play):
    played = play(
        HEAD
        + """
import copy
teacher = copy.deepcopy(model)
for i in range(4):
    with torch.no_grad():
        soft = teacher(x).softmax(1)  # teach
    output = model(x)  # forward
    loss = cross_entropy(output, soft)  # loss
    optimizer.zero_grad()  # clear
    loss.backward()  # backward
    optimizer.step()  # step
    with torch.no_grad():
        for t, p in zip(teacher.parameters(), model.parameters()):
            t.lerp_(p, 0.1)
"""
    )
    assert played.told() == ["step optimizer 1: forward@teach forward loss clear backward step"] * 4
    assert played.main.evaluations == []
    assert [played.models(u.rounds[0]) for u in played.main.updates] == ["model"] * 4
    assert [len(u.rounds[0].calls) for u in played.main.updates] == [2] * 4


def test_several_models_and_one_optimizer(play):
    played = play(
        HEAD
        + """
encoder, decoder = nn.Linear(3, 2), nn.Linear(2, 3)
adam = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()])
for i in range(2):
    adam.zero_grad()  # clear
    code = encoder(x)  # encode
    loss = nn.functional.mse_loss(decoder(code), x)  # decode
    loss.backward()  # backward
    adam.step()  # step
"""
    )
    assert played.told() == ["step adam 1: clear forward@encode forward@decode loss@decode backward step"] * 2
    assert [played.models(u.rounds[0]) for u in played.main.updates] == ["encoder+decoder"] * 2
