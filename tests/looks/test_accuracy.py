"""Training accuracy, against the test's own count."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F


def count(watched, make, shape, loss_of, updates=3):
    predictions = []

    def train():
        torch.manual_seed(4)
        model = make()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
        for _ in range(updates):
            optimizer.zero_grad()
            out = model(torch.randn(shape))
            predictions.append(out.detach().numpy())
            loss_of(out).backward()
            optimizer.step()

    run = watched(train)
    told = [(update.right, update.of) for update in run.updates]
    looked = [(update.look.losses[0].right, update.look.losses[0].of) for update in run.updates]
    assert told == looked
    return told, predictions


CLASSES = torch.tensor([0, 1, 2, 0, 1, 2, 0, 1])


def test_classes(watched):
    told, seen = count(watched, lambda: nn.Linear(4, 3), (8, 4), lambda p: F.cross_entropy(p, CLASSES))
    assert told == [(int((p.argmax(1) == CLASSES.numpy()).sum()), 8) for p in seen]
    assert 0 < told[0][0] < 8


@pytest.mark.parametrize("ignored", [-100, 2, 255])
def test_ignored_targets_do_not_count(watched, ignored):
    target = CLASSES.clone()
    target[[1, 4, 5]] = ignored
    told, seen = count(
        watched, lambda: nn.Linear(4, 3), (8, 4), lambda p: F.cross_entropy(p, target, ignore_index=ignored)
    )
    kept = target.numpy() != ignored
    assert told == [(int(((p.argmax(1) == target.numpy()) & kept).sum()), int(kept.sum())) for p in seen]


def test_segmentation(watched):
    target = torch.randint(0, 3, (2, 5, 6), generator=torch.Generator().manual_seed(0))
    told, seen = count(watched, lambda: nn.Conv2d(1, 3, 1), (2, 1, 5, 6), lambda p: F.cross_entropy(p, target))
    assert told == [(int((p.argmax(1) == target.numpy()).sum()), 60) for p in seen]


def test_negative_log_likelihood(watched):
    told, seen = count(watched, lambda: nn.Linear(4, 3), (8, 4), lambda p: F.nll_loss(F.log_softmax(p, 1), CLASSES))
    assert told == [(int((p.argmax(1) == CLASSES.numpy()).sum()), 8) for p in seen]


def test_soft_targets(watched):
    target = torch.softmax(torch.randn(8, 3, generator=torch.Generator().manual_seed(1)), 1)
    told, seen = count(watched, lambda: nn.Linear(4, 3), (8, 4), lambda p: F.cross_entropy(p, target))
    assert told == [(int((p.argmax(1) == target.numpy().argmax(1)).sum()), 8) for p in seen]


@pytest.mark.parametrize("logits", [True, False])
def test_binary(watched, logits):
    target = (CLASSES > 0).float()[:, None]
    loss_of = (
        (lambda p: F.binary_cross_entropy_with_logits(p, target))
        if logits
        else (lambda p: F.binary_cross_entropy(torch.sigmoid(p), target))
    )
    told, seen = count(watched, lambda: nn.Linear(4, 1), (8, 4), loss_of)
    assert told == [(int(((p > 0) == (target.numpy() > 0.5)).sum()), 8) for p in seen]


def test_a_regression_has_no_accuracy(watched):
    told, _ = count(watched, lambda: nn.Linear(4, 3), (8, 4), lambda p: F.mse_loss(p, torch.zeros(8, 3)))
    assert told == [(0, 0)] * 3


def test_accumulated_rounds_count_together(watched):
    seen = []

    def train():
        torch.manual_seed(0)
        model = nn.Linear(4, 3)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(3):
            out = model(torch.randn(8, 4))
            seen.append(out.detach().numpy())
            (F.cross_entropy(out, CLASSES) / 3).backward()
        optimizer.step()

    (update,) = watched(train).updates
    assert (update.right, update.of) == (sum(int((p.argmax(1) == CLASSES.numpy()).sum()) for p in seen), 24)
    assert [loss.round for loss in update.look.losses] == [0, 1, 2]
    assert [loss.factor for loss in update.look.losses] == pytest.approx([1 / 3] * 3)
    assert np.isfinite(update.loss)
