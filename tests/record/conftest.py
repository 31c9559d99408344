"""A small record that was really made, and copies of it to be damaged."""

from __future__ import annotations

import shutil

import pytest

import stepscope


def train(updates, *, loaders=False):
    """Logistic regression on random numbers; with ``loaders``, one batch a pass."""
    import torch

    torch.manual_seed(0)
    model = torch.nn.Linear(3, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    inputs, targets = torch.randn(8, 3), torch.randint(0, 2, (8,))
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(inputs, targets), batch_size=8)
    for _ in range(updates):
        for batch, wanted in loader if loaders else [(inputs, targets)]:
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(model(batch), wanted)
            loss.backward()
            optimizer.step()
    return model


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A finished record of four updates. Not to be changed: see ``copied``."""
    folder = tmp_path_factory.mktemp("made") / "record"
    with stepscope.watch(folder):
        train(4)
    return folder


@pytest.fixture
def copied(made, tmp_path):
    return shutil.copytree(made, tmp_path / "copied")
