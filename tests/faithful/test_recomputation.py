"""Behind checkpointing and saved-tensor hooks not one forward runs more than bare."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint


class Counted(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Sequential(nn.Linear(6, 6), nn.BatchNorm1d(6), nn.Dropout(0.2))
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        return torch.relu(self.layer(x))


class Checkpointed(nn.Module):
    def __init__(self, reentrant):
        super().__init__()
        self.reentrant = reentrant
        self.first, self.second = Counted(), Counted()
        self.head = nn.Linear(6, 3)

    def forward(self, x):
        x = checkpoint(self.first, x, use_reentrant=self.reentrant)
        x = checkpoint(self.second, x, use_reentrant=self.reentrant)
        return self.head(x)


class Plain(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = Counted(), Counted()
        self.head = nn.Linear(6, 3)

    def forward(self, x):
        return self.head(self.second(self.first(x)))


def train(model, around=None, updates=4):
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    for _ in range(updates):
        optimizer.zero_grad()
        inputs = torch.randn(8, 6, requires_grad=True)
        with around() if around else torch.enable_grad():
            loss = nn.functional.cross_entropy(model(inputs), torch.randint(0, 3, (8,)))
        loss.backward()
        optimizer.step()
    return model.first.calls, model.second.calls


@pytest.mark.parametrize("reentrant", [True, False])
def test_activation_checkpointing(same, digest, reentrant):
    def run():
        model = Checkpointed(reentrant)
        calls = train(model)
        return calls, model.first.layer[1].num_batches_tracked.item(), digest(model)

    (calls, batches, _), record = same(run, looks="all")
    assert calls == (8, 8), "forward and recomputation, nothing else"
    assert batches == 8
    assert record.main.update_count == 4


def test_save_on_cpu(same, digest):
    def run():
        model = Plain()
        return train(model, torch.autograd.graph.save_on_cpu), digest(model)

    (calls, _), _ = same(run, looks="all")
    assert calls == (4, 4)


def test_hooks_of_the_user_run_as_often_as_bare(same, digest):
    def run():
        packed, unpacked = [], []

        def pack(tensor):
            packed.append(tuple(tensor.shape))
            return tensor

        def unpack(tensor):
            unpacked.append(tuple(tensor.shape))
            return tensor

        model = Plain()
        calls = train(model, lambda: torch.autograd.graph.saved_tensors_hooks(pack, unpack))
        return calls, packed, unpacked, digest(model)

    (_, packed, unpacked, _), _ = same(run, looks="all")
    assert packed
    assert unpacked


def test_a_tensor_that_is_let_go_is_gone(same):
    """Watching must hold no activation and no graph longer than bare."""
    import weakref

    def run():
        model = Plain()
        optimizer = torch.optim.SGD(model.parameters(), 0.1)
        alive = []
        for _ in range(4):
            optimizer.zero_grad()
            out = model(torch.randn(8, 6))
            loss = nn.functional.cross_entropy(out, torch.randint(0, 3, (8,)))
            loss.backward()
            optimizer.step()
            watched = [weakref.ref(out), weakref.ref(loss)]
            del out, loss
            alive.append([ref() is None for ref in watched])
        return alive

    (alive, _) = same(run, looks="all")
    assert alive == [[True, True]] * 4
