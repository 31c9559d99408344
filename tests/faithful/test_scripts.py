"""Programs that look closely at how they are run: bare and watched they cannot tell the difference."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time

import pytest

#: Name -> script (its arguments after ``# args:`` in the first line). None needs torch: these are about the process.
SCRIPTS = {
    "arguments": """\
        # args: --epochs 3 -m x --no-report --record y -- positional
        import argparse, sys
        parser = argparse.ArgumentParser()
        parser.add_argument("--epochs", type=int); parser.add_argument("-m"); parser.add_argument("--record")
        parser.add_argument("--no-report", action="store_true"); parser.add_argument("rest", nargs="*")
        print(parser.parse_args(), sys.argv)
        """,
    "usage error": """\
        # args: --nothing
        import argparse
        argparse.ArgumentParser().parse_args()
        """,
    "where it is": """\
        import os, sys
        print(__name__, __file__, __package__, __spec__, __doc__, __annotations__, __builtins__.__name__)
        print(type(__loader__).__name__, __loader__.name, __loader__.path == __file__, sys.path[0], os.getcwd())
        print(sys.modules["__main__"].__dict__ is globals(), sorted(globals()))
        """,
    "docstring and annotations": '''\
        """What it is for."""
        x: int = 1
        print(__doc__, __annotations__)
        ''',
    "pickled main classes": """\
        import atexit, dataclasses, enum, pickle, threading
        @dataclasses.dataclass
        class Point:
            x: int
        class Color(enum.Enum):
            RED = 1
        def check(where):
            print(where, pickle.loads(pickle.dumps([Point(1), Color.RED])))
        check("main")
        thread = threading.Thread(target=check, args=("thread",)); thread.start(); thread.join()
        atexit.register(check, "exit")
        """,
    "threads outlive the main thread": """\
        import threading, time
        def work():
            time.sleep(0.2); print("still here", threading.main_thread().is_alive())
        threading.Thread(target=work).start()
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
        print("main is done")
        """,
    "exit with a number": "import sys; sys.exit(7)",
    "exit with a sentence": "import sys; sys.exit('that did not work')",
    "exit with none": "raise SystemExit",
    "exit with true": "import sys; sys.exit(True)",
    "exit in finally": """\
        import sys
        try:
            1 / 0
        finally:
            sys.exit(4)
        """,
    "exit at once": "import os; print('lost'); os._exit(9)",
    "exit handlers": """\
        import atexit, sys
        atexit.register(lambda: print("first registered, last run"))
        atexit.register(lambda: sys.stderr.write("on stderr\\n"))
        class Last:
            def __del__(self): print("deleted")
        kept = Last()
        raise ValueError("and an exception")
        """,
    "chained exceptions": """\
        def inner(): raise KeyError("k")
        def outer():
            try: inner()
            except KeyError as error: raise RuntimeError("b\\u00e4d") from error
        try: outer()
        except RuntimeError:
            [][1]
        """,
    "notes and groups": """\
        error = ValueError("with a note"); error.add_note("the note")
        raise ExceptionGroup("several", [error, ExceptionGroup("inner", [KeyError(1)])])
        """,
    "an excepthook": """\
        import sys, traceback
        def hook(kind, error, trace):
            print("hook", kind.__name__, [f.name for f in traceback.extract_tb(trace)], sys.last_value is error)
        sys.excepthook = hook
        def fail(): raise ValueError
        fail()
        """,
    "an exception in a thread": """\
        import threading
        from concurrent.futures import ThreadPoolExecutor
        def fail(): raise ValueError("in a thread")
        thread = threading.Thread(target=fail, name="worker"); thread.start(); thread.join()
        with ThreadPoolExecutor(2) as pool: print(list(pool.map(str, range(3))), pool.submit(fail).exception())
        """,
    "standard input": "import sys; print(input(), sys.stdin.read().split(), sys.stdin.isatty())",
    "signal handlers": """\
        import os, signal
        for one in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
            print(signal.getsignal(one) in (signal.SIG_DFL, signal.default_int_handler))
            signal.signal(one, lambda number, frame: print("got", number))
            os.kill(os.getpid(), one)
        """,
    "killed by a signal": "import os, signal; print('x', flush=True); os.kill(os.getpid(), signal.SIGTERM)",
    "control c": """\
        import atexit, os, signal, threading
        atexit.register(print, "exit handlers run")
        threading.Timer(0.2, print, ["threads end"]).start()
        class Last:
            def __del__(self): print("deleted")
        kept = Last()
        os.kill(os.getpid(), signal.SIGINT)
        """,
    "control c is caught": """\
        import os, signal
        try: os.kill(os.getpid(), signal.SIGINT); signal.pause()
        except KeyboardInterrupt: print("caught")
        """,
    "warnings and logging": """\
        import logging, warnings
        warnings.warn("here"); warnings.warn("old", DeprecationWarning)
        def deep(): warnings.warn("the caller", stacklevel=2)
        deep()
        logging.warning("a warning"); logging.getLogger("x").error("at %d", 3)
        logging.basicConfig(format="%(filename)s:%(lineno)d %(funcName)s %(message)s", force=True); logging.error("now")
        """,
    "modules it imports": """\
        import sys
        heavy = {"torch", "numpy", "pandas", "matplotlib", "sklearn", "safetensors"}
        print(sorted(heavy & {name.partition(".")[0] for name in sys.modules}))
        import helper, random
        print(helper.__file__, helper.VALUE, random.seed(1), random.random())
        """,
    "children": """\
        import multiprocessing, os, subprocess, sys
        def work(x): return x * 2, multiprocessing.current_process().name != "MainProcess"
        class Item:
            def __eq__(self, other): return type(self) is type(other)
        if __name__ == "__main__":
            for method in ("fork", "spawn"):
                with multiprocessing.get_context(method).Pool(1) as pool:
                    print(method, pool.map(work, [1, 2]), pool.apply(type, (Item(),)))
            child = os.fork()
            if not child:
                print("child", flush=True); sys.exit(5)
            print(os.waitpid(child, 0)[1] >> 8, subprocess.run([sys.executable, "-c", "print(6)"], capture_output=True).stdout)
        """,
    "its own source": """\
        import inspect, sys, traceback
        def f(): return 1
        print(inspect.getsource(f), inspect.getsourcefile(f) == __file__, inspect.getmodule(f).__name__)
        try: exec(compile("1/0", "made up", "exec"))
        except ZeroDivisionError: print(traceback.extract_tb(sys.exc_info()[2])[-1].filename)
        """,
    "unicode": "print('\\u00fcmlaut \\u2713', __file__)",
    "future annotations": """\
        from __future__ import annotations
        def f(x: Missing) -> None: ...
        print(f.__annotations__)
        """,
    "a syntax error": "print('never'\n",
    "recursion": """\
        def down(n): return n and down(n - 1)
        print(down(900))
        """,
}


def run_both(python, tmp_path, path, *arguments, **options):
    bare = python(*path, *arguments, **options)
    watched = python("-m", "stepscope", "trace", "--no-report", *path, *arguments, **options)
    return bare, watched


def said(done):
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("name", SCRIPTS)
def test_as_python_runs_it(name, script, python, tmp_path):
    text = SCRIPTS[name]
    script("VALUE = 3\n", "helper.py")
    path = script(text, "with space \u00fc.py" if name == "unicode" else "script.py")
    first = text.strip().partition("\n")[0]
    arguments = first.removeprefix("# args: ").split() if first.startswith("# args: ") else []
    bare, watched = run_both(python, tmp_path, [path.name], *arguments, input="line one\nline two\nthree\n")
    assert said(watched) == said(bare)
    assert bare.stdout or bare.stderr or bare.returncode or name == "exit with none", "it shows something"


def test_from_another_folder_and_through_a_link(script, python, tmp_path):
    path = script(SCRIPTS["where it is"], "real/script.py")
    (tmp_path / "link.py").symlink_to(path)
    for name in ("real/script.py", "link.py"):
        bare, watched = run_both(python, tmp_path, [name])
        assert said(watched) == said(bare)


@pytest.mark.parametrize("module", ["package", "package.part", "alone"])
def test_modules(module, script, python, tmp_path):
    look = "import sys; print(__name__, __package__, __spec__.name, __file__, sys.argv, sys.path[0])\n"
    script(look, "alone.py")
    script("NAME = __name__\n", "package/__init__.py")
    script(look + "from . import part; from .part import x; print(x)\n", "package/__main__.py")
    script(look + "from . import NAME\nx = NAME\nif __name__ == '__main__': raise KeyError(x)\n", "package/part.py")
    bare, watched = run_both(python, tmp_path, ["-m", module], "--some", "thing")
    # Python shows the two frames of its own that run a module; there is no such frame here.
    bare.stderr = re.sub(r'  File "<frozen runpy>".*\n', "", bare.stderr)
    assert said(watched) == said(bare)
    assert bare.stdout


def test_control_c_from_outside(script, tmp_path):
    path = script("""
        import atexit, time
        atexit.register(print, "saved")
        print("ready", flush=True)
        time.sleep(60)
    """)
    ends = []
    for launch in ([], ["-m", "stepscope", "trace", "--no-report"]):
        process = subprocess.Popen(
            [sys.executable, *launch, path], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path
        )
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.5)  # it sleeps by then
        process.send_signal(signal.SIGINT)
        ends.append((*process.communicate(timeout=60), process.returncode))
    assert ends[1] == ends[0]
    assert ends[0][2] == -signal.SIGINT
