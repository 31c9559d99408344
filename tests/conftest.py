"""What all tests share: watched little trainings, scripts run bare and watched, and a proof that
nothing of ours stays behind in torch."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

import stepscope
from stepscope.observe import watch as watching
from stepscope.observe.patching import MARK

if TYPE_CHECKING:
    from pathlib import Path

# The same examples every time: what fails here fails everywhere.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")

#: One thread each, no colours: what a script prints must not depend on the machine.
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "NO_COLOR": "1", "PYTHONHASHSEED": "0", "COLUMNS": "80"}


@pytest.fixture(autouse=True)
def nothing_left_in_torch():
    """After each test torch is as it was: no wrapper, no hook, no import watch, no open watch."""
    yield
    assert watching._current is None
    assert not [finder for finder in sys.meta_path if type(finder).__module__.startswith("stepscope")]
    torch = sys.modules.get("torch")
    if torch is None:
        return
    assert left_in_torch() == []
    forget_compiling()


def forget_compiling() -> None:
    """As if nothing had been compiled in this process: a watch of compiled code notes only boundaries."""
    frames = sys.modules.get("torch._dynamo.eval_frame")
    if frames is None:
        return
    import torch

    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    frames.TorchPatcher.patch.cache_clear()


def left_in_torch() -> list[str]:
    """The names of everything of ours that is still installed in torch."""
    import torch
    from torch.autograd import grad_mode
    from torch.optim import lr_scheduler, optimizer

    owners = [
        torch,
        torch.autograd,
        torch.jit,
        torch.nn.utils.clip_grad,
        torch._C._nn,
        torch._VF,
        torch.nn.functional,
        torch.nn.parallel.DistributedDataParallel,
        torch.nn.Module,
        torch.optim.Optimizer,
        torch.utils.data.DataLoader,
        torch.utils.data.dataloader._BaseDataLoaderIter,
        torch.amp.grad_scaler.GradScaler,
        grad_mode.no_grad,
        grad_mode.inference_mode,
        *(cls for cls in vars(lr_scheduler).values() if isinstance(cls, type)),
    ]
    left = [
        f"{getattr(owner, '__name__', owner)}.{name}"
        for owner in owners
        for name, value in list(vars(owner).items())
        if hasattr(value, "__dict__") and MARK in vars(value)
    ]
    hooks = [*optimizer._global_optimizer_pre_hooks.values(), *optimizer._global_optimizer_post_hooks.values()]
    left += [str(hook) for hook in hooks if "stepscope" in (getattr(hook, "__module__", "") or "")]
    return left


@pytest.fixture
def record(tmp_path):
    """A folder for a record."""
    return tmp_path / "record"


@pytest.fixture
def watched(record):
    """Run a function under a watch; return the Run."""

    def run(function, **options):
        with stepscope.watch(record, **options) as watch:
            function()
        return watch.run

    return run


@pytest.fixture
def script(tmp_path):
    """Write a script and return its path."""

    def write(text: str, name: str = "script.py") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        return path

    return write


@pytest.fixture
def python(tmp_path):
    """Run Python in a fresh folder; return the finished process."""

    def run(*arguments, timeout=240, **options):
        options.setdefault("cwd", tmp_path)
        options.setdefault("env", ENVIRONMENT)
        return subprocess.run(
            [sys.executable, *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            **options,
        )

    return run


@pytest.fixture
def stepscope_cli(python):
    """Run the command line; return the finished process."""

    def run(*arguments, **options):
        return python("-m", "stepscope", *arguments, **options)

    return run
