"""Several threads, compiled models, and hooks of others beside ours."""

from __future__ import annotations

from stepscope.record import events as ev


def test_two_threads_that_train_two_models(play):
    played = play(
        """
import threading
import torch
from torch import nn
losses = {"one": [], "two": []}
def work(name, updates):
    generator = torch.Generator().manual_seed(len(name))
    model = nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for i in range(updates):
        x = torch.randn(4, 3, generator=generator)
        optimizer.zero_grad()  # clear
        output = model(x)  # forward
        loss = nn.functional.mse_loss(output, x[:, :1])  # loss
        losses[name].append(loss.item())
        loss.backward()  # backward
        optimizer.step()  # step
threads = [threading.Thread(target=work, args=("one", 5)), threading.Thread(target=work, args=("two", 400))]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""
    )
    main = played.main
    assert main.update_count == 405
    noted = {update.thread for update in main.updates}
    assert len(noted) == 2
    for thread in noted:
        own = [u for u in main.updates if u.thread == thread]
        assert {played.skeleton(u) for u in own} == {"clear forward loss backward step"}
        assert {len(u.rounds) for u in own} == {1}
        assert len({u.owners[0] for u in own}) == 1
    few = next(t for t in noted if len([u for u in main.updates if u.thread == t]) == 5)
    assert [u.loss for u in main.updates if u.thread == few] == played.names["losses"]["one"]
    stretched = sum(s.updates for _, s in main.stretches)
    assert stretched + len(main.updates) == 405
    assert {s.thread for _, s in main.stretches} == noted - {few}


def test_a_thread_that_starts_to_train_while_another_is_asleep(play):
    played = play(
        """
import threading
import torch
from torch import nn
def work(updates):
    model = nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    x = torch.ones(4, 3)
    for i in range(updates):
        optimizer.zero_grad()
        nn.functional.mse_loss(model(x), x[:, :1]).backward()
        optimizer.step()
    return optimizer
work(5000)
late = threading.Thread(target=work, args=(700,))
late.start(); late.join()
work(100)
"""
    )
    main = played.main
    assert main.update_count == 5800
    by_thread: dict[int, int] = {}
    for update in main.updates:
        by_thread[update.thread] = by_thread.get(update.thread, 0) + 1
    for _, stretch in main.stretches:
        by_thread[stretch.thread] = by_thread.get(stretch.thread, 0) + stretch.updates
    assert sorted(by_thread.values()) == [700, 5100]


def test_a_compiled_model_is_told_by_its_boundaries(play):
    played = play(
        """
import torch
from torch import nn
torch.manual_seed(0)
model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))
compiled = torch.compile(model, backend="aot_eager")
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
x, y = torch.randn(4, 3), torch.randn(4, 1)
losses = []
for i in range(6):
    optimizer.zero_grad()  # clear
    loss = ((compiled(x) - y) ** 2).mean()
    losses.append(loss.item())
    loss.backward()  # backward
    optimizer.step()  # step
"""
    )
    assert [u.kind for u in played.main.updates] == ["step"] * 6
    assert played.losses() == played.names["losses"]
    assert {played.skeleton(u) for u in played.main.updates[1:]} == {"clear backward step"}
    assert len(list(played.main.of(ev.CompilingStarted))) == 1


def test_a_global_hook_of_the_script_runs_at_every_step(play):
    """Ours are exchanged when a loop falls asleep and wakes, while torch goes through them."""
    played = play(
        """
import torch
from torch import nn
from torch.optim.optimizer import register_optimizer_step_post_hook
steps = 0
def count(*_):
    global steps
    steps += 1
handle = register_optimizer_step_post_hook(count)
model = nn.Linear(3, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
x = torch.ones(4, 3)
for i in range(4000):
    optimizer.zero_grad()
    model(x).pow(2).mean().backward()
    optimizer.step()
handle.remove()
"""
    )
    assert played.names["steps"] == 4000
    assert played.main.update_count == 4000
