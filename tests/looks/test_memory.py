"""A look lets go of everything: no tensor and no graph outlives it."""

from __future__ import annotations

import gc
import weakref

import torch
from torch import nn

import stepscope


class Sentinel:
    """Lives as long as the node that holds it in its metadata."""


def model():
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))


def test_nothing_of_the_users_is_kept_between_updates(record):
    with stepscope.watch(record, looks="all"):
        net = model()
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        for _ in range(4):
            optimizer.zero_grad()
            x = torch.randn(3, 4)
            out = net(x)
            loss = nn.functional.cross_entropy(out, torch.tensor([0, 1, 1]))
            sentinel = Sentinel()
            loss.grad_fn.metadata["sentinel"] = sentinel
            graph = weakref.ref(sentinel)
            tensors = [weakref.ref(t) for t in (x, out, loss)]
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            del x, out, loss, sentinel
            gc.collect()
            assert graph() is None
            assert [t() for t in tensors] == [None] * 3
        held = weakref.ref(net)
        del net, optimizer
        gc.collect()
        assert held() is None


def test_a_graph_that_the_user_keeps_does_not_keep_the_look(record):
    from stepscope.observe.looks.looking import Looking

    losses = []
    before = {id(thing) for thing in gc.get_objects() if type(thing) is Looking}
    with stepscope.watch(record, looks="all"):
        net = model()
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        for _ in range(5):
            optimizer.zero_grad()
            loss = net(torch.randn(3, 4)).sum()
            loss.backward()
            optimizer.step()
            losses.append(loss)
        gc.collect()
        alive = [thing for thing in gc.get_objects() if type(thing) is Looking and id(thing) not in before]
    assert len(alive) <= 1, "the one of the update that begins"
    assert losses[0].grad_fn is not None


def test_the_number_of_tensors_does_not_grow(record):
    def tensors():
        gc.collect()
        return sum(issubclass(type(thing), torch.Tensor) for thing in gc.get_objects())

    with stepscope.watch(record, looks="all"):
        net = model()
        optimizer = torch.optim.Adam(net.parameters())
        counts = []
        for _ in range(6):
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(torch.randn(3, 4)), torch.tensor([0, 1, 1])).backward()
            optimizer.step()
            counts.append(tensors())
    assert counts[2] == counts[-1]


def test_looking_for_names_keeps_no_local_variable_alive_and_changes_none(record):
    def train():
        net = model()
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        mine = locals()
        batch = torch.randn(3, 4)
        held = weakref.ref(batch)
        net(batch).sum().backward()
        optimizer.step()
        del batch
        names = set(mine)
        del mine
        gc.collect()
        return names, held() is None, sorted(locals())

    with stepscope.watch(record):
        names, _, after = train()
    assert {"net", "optimizer"} <= names, "a snapshot that the user holds is left alone"
    assert after == ["held", "names", "net", "optimizer"]
