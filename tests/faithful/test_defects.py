"""A defect of ours never reaches the training: it is noted, said once, and that seam retires."""

from __future__ import annotations

import functools
import importlib
import inspect
import pkgutil

import pytest
import torch
from torch import nn

from stepscope.observe import thorough
from stepscope.observe.schedule import Plan
from stepscope.observe.watch import Watch
from stepscope.record import events as ev

#: Functions of ours, each of which is made to fail: all that runs while a training is observed.
INTERNALS = [
    "session.Session.lane",
    "session.Session.note",
    "notes.Notes.put",
    "notes.Notes.put_later",
    "notes.Notes.flush",
    "session.Session.cleared",
    "session.Session.fetched",
    "session.Session.clipped",
    "session.Session.loss_called",
    "session.Session.mode_changed",
    "session.Session.model_called",
    "session.Session.note_accuracy",
    "session.Session.note_aside",
    "session.Session.pass_ended",
    "session.Session.pass_started",
    "session.Session.put_look",
    "session.Session.replay",
    "session.Session.scaled",
    "session.Session.scheduled",
    "session.Session.settle_manual",
    "session.Session.sleep",
    "session.Session.tell_stretch",
    "session.Session.new_look",
    "session.Session.gradients_disabled",
    "lane.Lane.begin",
    "lane.Lane.begin_step",
    "lane.Lane.end_step",
    "lane.Lane.finish_asleep",
    "lane.Lane.finish_brief",
    "lane.Lane.finish_in_full",
    "lane.Lane.goes_on",
    "lane.Lane.learn",
    "lane.Lane.tell",
    "lane.Lane.wake",
    "ledger.Ledger.after_backward",
    "ledger.Ledger.applied",
    "ledger.Ledger.before_backward",
    "ledger.Ledger.cleared",
    "registry.Registry.loader",
    "registry.Registry.model",
    "registry.Registry.optimizer",
    "registry.Registry.scheduler",
    "gauge.Fetch.__init__",
    "gauge.Reading.__init__",
    "looks.graph.answers",
    "looks.graph.fold",
    "looks.graph.find_losses",
    "looks.keeping.Kept.keep",
    "looks.looking.Looking._enter",
    "looks.looking.Looking._leave",
    "looks.looking.Looking.before_backward",
    "looks.looking.Looking.build",
    "looks.looking.Looking.loss_called",
    "looks.looking.user_line",
    "looks.operations.Operations._note",
    "looks.looking.changes_nothing",
    "sleep.Sleep.catch_up",
    "looks.stepping.StepLook.after_step",
    "looks.stepping.StepLook.before_step",
    "session.user_line",
]
#: A failure here leaves something out of a look; it is no defect, for the arguments are the user's.
QUIET = {"looks.operations.Operations._note"}


def train():
    """A loop through every seam, long enough to be looked at, noted, watched briefly and counted."""
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(0.1), nn.Linear(8, 2))
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 50)
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    data = torch.utils.data.TensorDataset(torch.randn(40, 4), torch.randint(0, 2, (40,)))
    loader = torch.utils.data.DataLoader(data, 8, shuffle=True)
    for _ in range(12):
        model.train()
        for inputs, targets in loader:
            optimizer.zero_grad()
            scaler.scale(nn.functional.cross_entropy(model(inputs), targets)).backward()
            scaler.unscale_(optimizer)
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            scaler.step(optimizer)
            scaler.update()
        scheduler.step()
        model.eval()
        with torch.no_grad():
            nn.functional.cross_entropy(model(inputs), targets)
    model.load_state_dict(model.state_dict())
    for _ in range(60):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(inputs), targets).backward()
        optimizer.step()
    return model


class Broken(Exception):
    pass


def whose(internal):
    """The module or class that holds a function of ours, and the function's name in it."""
    owner = importlib.import_module("stepscope.observe")
    *inner, name = internal.split(".")
    for part in inner:
        if not hasattr(owner, part):
            importlib.import_module(f"{owner.__name__}.{part}")
        owner = getattr(owner, part)
    return owner, name


def in_thorough_watches():
    """Every public function of what only thorough watches ask, and every public method."""
    found = []
    for info in pkgutil.iter_modules(thorough.__path__):
        module = importlib.import_module(f"{thorough.__name__}.{info.name}")
        for name, thing in vars(module).items():
            if name.startswith("_") or getattr(thing, "__module__", "") != module.__name__:
                continue
            if inspect.isfunction(thing):
                found.append(f"thorough.{info.name}.{name}")
            elif inspect.isclass(thing):
                methods = [n for n, m in vars(thing).items() if inspect.isfunction(m) and not n.startswith("_")]
                found += [f"thorough.{info.name}.{name}.{method}" for method in methods]
    return found


@pytest.fixture(scope="module")
def called(tmp_path_factory):
    """Those of them that the training above comes by."""
    seen = set()

    def spy(internal, original):
        @functools.wraps(original)
        def spying(*args, **kwargs):
            seen.add(internal)
            return original(*args, **kwargs)

        return spying

    with pytest.MonkeyPatch.context() as patch:
        for internal in in_thorough_watches():
            owner, name = whose(internal)
            patch.setattr(owner, name, spy(internal, vars(owner)[name]))
        with Watch(tmp_path_factory.mktemp("spied") / "r", Plan(thorough=200)):
            train()
    assert len(seen) > 20
    return seen


@pytest.mark.parametrize("internal", in_thorough_watches())
def test_a_defect_in_a_thorough_watch_stays_ours(internal, called, record, digest, seed, monkeypatch, bare_digest):
    if internal not in called:
        return  # this training does not come by it
    if not bare_digest:
        seed()
        bare_digest["model"] = digest(train())
    owner, name = whose(internal)

    def broken(*_args, **_kwargs):
        raise Broken(internal)

    seed()
    with monkeypatch.context() as patch, Watch(record, Plan(thorough=200)):
        patch.setattr(owner, name, broken)
        result = digest(train())
        patch.undo()
    assert result == bare_digest["model"]
    assert torch._C._len_torch_function_stack() == 0


@pytest.fixture(scope="module")
def bare_digest():
    return {}


@pytest.mark.parametrize("internal", INTERNALS)
def test_a_defect_stays_ours(internal, record, digest, seed, monkeypatch, capfd, bare_digest):
    if not bare_digest:
        seed()
        bare_digest["model"] = digest(train())
    owner, name = whose(internal)
    calls = []

    def broken(*_args, **_kwargs):
        calls.append(1)
        raise Broken(internal)

    original = getattr(owner, name)
    plan = Plan(note_every=16, sparse_after=70, glimpse_every=5)
    seed()
    watch = Watch(record, plan)
    with watch:
        monkeypatch.setattr(owner, name, broken)
        grad = torch.is_grad_enabled()
        result = digest(train())
        assert torch.is_grad_enabled() is grad
        monkeypatch.setattr(owner, name, original)
    assert result == bare_digest["model"]
    assert calls, "it was never called: this shows nothing"
    said = [line for line in capfd.readouterr().err.splitlines() if "a defect of stepscope" in line]
    if internal in QUIET:
        return
    assert said
    assert len(set(said)) == len(said), "each part says it once"
    assert all("your training goes on" in line for line in said)
    if not internal.startswith("notes.Notes.put"):  # then the noting itself fails
        noted = [defect.part for defect in watch.run.main.of(ev.Defect)]
        assert noted
        assert len(set(noted)) == len(noted), "and retires"


def test_a_defect_while_torch_is_imported(script, stepscope_cli):
    path = script("""
        import sys, types
        def broken():
            raise ValueError("broken")
        sys.modules["stepscope.observe.seams"] = types.SimpleNamespace(all_seams=broken)
        import torch
        print(torch.ones(2).sum().item())
    """)
    done = stepscope_cli("trace", "--no-report", path)
    assert (done.returncode, done.stdout) == (0, "2.0\n")
    assert done.stderr == (
        "stepscope: a defect of stepscope (ValueError: broken); nothing is observed, your training goes on\n"
    )
