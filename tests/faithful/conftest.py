"""Running the same thing bare and watched, and reading all that watching could have changed."""

from __future__ import annotations

import hashlib
import random

import pytest

import stepscope
from stepscope.observe.schedule import Plan
from stepscope.observe.watch import Watch
from stepscope.record import events as ev


@pytest.fixture
def digest():
    """All that a training leaves behind, as bytes that differ when a single bit does."""

    def take(*things):
        import numpy as np
        import torch

        state = hashlib.sha256()
        for thing in things:
            tensors = thing.state_dict().values() if isinstance(thing, torch.nn.Module) else [thing]
            for tensor in tensors:
                state.update(tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
        state.update(torch.get_rng_state().numpy().tobytes())
        state.update(np.random.get_state()[1].tobytes())  # noqa: NPY002  # the stream scripts share
        state.update(repr(random.getstate()).encode())
        return state.hexdigest()

    return take


@pytest.fixture
def same(record):
    """Call a function bare and watched, from the same seeds; return its result and the Run."""

    def compare(function, *, thorough=False, **options):
        seed_all()
        bare = function()
        seed_all()
        with Watch(record, Plan(thorough=200)) if thorough else stepscope.watch(record, **options) as watch:
            watched = function()
        run = watch.run
        assert watched == bare
        assert [(defect.part, defect.message) for defect in run.main.of(ev.Defect)] == []
        return bare, run

    return compare


def seed_all():
    import numpy as np
    import torch

    torch.manual_seed(7)
    np.random.seed(7)  # noqa: NPY002
    random.seed(7)


@pytest.fixture
def seed():
    """Set all random streams to the same point."""
    return seed_all
