"""Training scripts that do unusual things: exit code, output, random numbers and weights are those of a bare run."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.slow

#: What each script below can build on; ``report`` prints all that watching could have changed.
LIBRARY = """
    import hashlib, random
    import numpy as np
    import torch
    def net():
        return torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Dropout(0.2), torch.nn.Linear(8, 2))
    class Data(torch.utils.data.Dataset):
        def __len__(self): return 32
        def __getitem__(self, i):
            return torch.full((4,), float(i)) + torch.rand(4) + random.random() + np.random.rand(), i % 2
    def train(model, batches=None, optimizer=None, updates=6):
        optimizer = optimizer or torch.optim.SGD(model.parameters(), lr=0.05)
        batches = batches or [(torch.randn(8, 4), torch.randint(0, 2, (8,))) for _ in range(updates)]
        for x, y in batches:
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(x.float()), y).backward()
            optimizer.step()
        return model
    def report(*models):
        state = hashlib.sha256()
        for model in models:
            for value in model.state_dict().values():
                state.update(value.detach().double().numpy().tobytes())
        state.update(torch.get_rng_state().numpy().tobytes() + np.random.get_state()[1].tobytes())
        print(state.hexdigest(), random.random(), torch.get_num_threads(), torch.is_grad_enabled(), flush=True)
    def seed():
        torch.manual_seed(3); np.random.seed(3); random.seed(3)
"""

SCRIPTS = {
    "environment before torch": """
        import os, sys
        os.environ["OMP_NUM_THREADS"] = "3"; os.environ["MKL_NUM_THREADS"] = "3"
        assert "torch" not in sys.modules and "numpy" not in sys.modules
        from library import *
        seed(); report(train(net()))
        torch.set_num_threads(2); report(train(net()))
    """,
    "loader workers": """
        from library import *
        if __name__ == "__main__":
            for method in ("fork", "spawn"):
                seed()
                generator = torch.Generator().manual_seed(5)
                loader = torch.utils.data.DataLoader(
                    Data(), 8, shuffle=True, num_workers=2, generator=generator, multiprocessing_context=method)
                model = net()
                for epoch in range(2): train(model, loader)
                report(model); print(generator.get_state().sum().item())
    """,
    "processes that train": """
        import multiprocessing
        from library import *
        def work(number):
            torch.manual_seed(number)
            return [p.detach().double().sum().item() for p in train(net()).parameters()]
        if __name__ == "__main__":
            torch.set_num_threads(1)
            with multiprocessing.get_context("fork").Pool(2) as pool: print(pool.map(work, [1, 2]))
            seed(); report(train(net()))
            with multiprocessing.get_context("fork").Pool(2) as pool: print(pool.map(work, [1, 2]))
            with multiprocessing.get_context("spawn").Pool(1) as pool: print(pool.map(work, [3]))
    """,
    "threads that train": """
        import threading
        from library import *
        models = []
        def work(number):
            generator = torch.Generator().manual_seed(number)
            model = torch.nn.Linear(4, 2)
            with torch.no_grad():
                for p in model.parameters(): p.copy_(torch.randn(p.shape, generator=generator))
            batches = [(torch.randn(8, 4, generator=generator), torch.randint(0, 2, (8,), generator=generator))
                       for _ in range(40)]
            models.append((number, train(model, batches)))
        threads = [threading.Thread(target=work, args=(n,)) for n in range(3)]
        for t in threads: t.start()
        for t in threads: t.join()
        seed()
        report(*[model for _, model in sorted(models, key=lambda pair: pair[0])])
    """,
    "training in an exit handler and a late thread": """
        import atexit, threading
        from library import *
        seed(); model = net()
        atexit.register(lambda: report(train(model)))
        threading.Thread(target=lambda: (threading.main_thread().join(), report(train(model)))).start()
        report(train(model))
    """,
    "pickled models": """
        import copy, io, pickle
        from library import *
        class Mine(torch.nn.Module):
            def __init__(self): super().__init__(); self.inner = net()
            def forward(self, x): return self.inner(x)
        seed(); model = train(Mine())
        buffer = io.BytesIO(); torch.save(model, buffer); buffer.seek(0)
        loaded = torch.load(buffer, weights_only=False)
        others = [copy.deepcopy(model), pickle.loads(pickle.dumps(model)), loaded]
        report(model, *[train(other) for other in others])
    """,
    "overridden methods": """
        from library import *
        class Odd(torch.nn.Linear):
            def train(self, mode=True, extra=None): print("train", mode, extra); return super().train(mode)
            def __call__(self, *args, **kwargs): return super().__call__(*args, **kwargs)
            def zero_grad(self, *args): print("cleared"); super().zero_grad(*args)
        class Own(torch.optim.SGD):
            def step(self, closure=None): print("step"); return super().step(closure)
        seed(); model = Odd(4, 2); model.train(True, extra=1); model.eval()
        train(model, optimizer=Own(model.parameters(), lr=0.1)); model.zero_grad(); report(model)
    """,
    "a script that patches torch": """
        from library import *
        calls = []
        def wrap(owner, name):
            original = getattr(owner, name)
            def patched(*args, **kwargs): calls.append(name); return original(*args, **kwargs)
            setattr(owner, name, patched)
        for owner, name in [(torch.optim.Optimizer, "zero_grad"), (torch.nn.Module, "__call__"),
                            (torch.Tensor, "backward"), (torch.nn.functional, "cross_entropy"), (torch.optim.SGD, "step")]:
            wrap(owner, name)
        seed(); report(train(net(), updates=60)); print(len(calls), sorted(set(calls)))
    """,
    "a scheduler in the wrong order": """
        from library import *
        seed(); model = net(); optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1)
        def epoch():
            scheduler.step()
            train(model, optimizer=optimizer)
        epoch(); epoch(); report(model); print(scheduler.get_last_lr())
    """,
    "an exception in forward": """
        from library import *
        seed(); model = train(net()); report(model)
        try: model(torch.randn(2, 7))
        except RuntimeError as error: print(type(error).__name__, error)
        model(torch.randn(2, 7))
    """,
    "control c in training": """
        import atexit, os, signal
        from library import *
        seed(); model = net(); atexit.register(lambda: report(model))
        class Stop(torch.nn.Module):
            def forward(self, x): os.kill(os.getpid(), signal.SIGINT); return x
        train(model); train(torch.nn.Sequential(Stop(), model))
    """,
    "exit inside a training step": """
        import sys
        from library import *
        seed(); model = net()
        class Stop(torch.optim.SGD):
            def step(self, closure=None): super().step(closure); report(model); sys.exit("enough")
        train(model, optimizer=Stop(model.parameters(), lr=0.1))
    """,
    "modes and defaults": """
        from library import *
        torch.use_deterministic_algorithms(True); torch.set_default_dtype(torch.float64); torch.set_default_device("cpu")
        seed(); model = net(); optimizer = torch.optim.Adam(model.parameters())
        for _ in range(4):
            optimizer.zero_grad()
            torch.nn.functional.mse_loss(model(torch.randn(4, 4)), torch.zeros(4, 2)).backward()
            optimizer.step()
        with torch.inference_mode(): print(model(torch.ones(1, 4)).is_inference())
        report(model)
    """,
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_as_python_runs_it(name, script, python, tmp_path):
    script(LIBRARY, "library.py")
    path = script(SCRIPTS[name])
    bare = python(path)
    record = tmp_path / "record"
    watched = python("-m", "stepscope", "trace", "--no-report", "--record", record, path)
    assert (watched.returncode, watched.stdout, watched.stderr) == (bare.returncode, bare.stdout, bare.stderr)
    assert bare.stdout.strip(), "it shows something"
    events = (record / "events-rank0.jsonl").read_text()
    assert '"defect"' not in events
    assert '"optimizer-seen"' in events, "it was watched"
