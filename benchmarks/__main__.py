"""Run the benchmarks: ``python -m benchmarks [watching|record|startup|accuracy|faithful|check ...] [--quick]``."""

from __future__ import annotations

import argparse
import importlib
import os
import platform

os.environ.setdefault("OMP_NUM_THREADS", "1")  # one thread: less noise, and the smallest job is the hardest

NAMES = ("watching", "record", "startup", "accuracy", "faithful", "check")


def main() -> None:
    """Run the named benchmarks, or all, and print Markdown."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", default=NAMES, metavar="NAME", help=f"one of {', '.join(NAMES)}")
    parser.add_argument("--quick", action="store_true", help="fewer repetitions, noisier figures")
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(NAMES)
    if unknown:
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")

    import torch

    print(f"Python {platform.python_version()}, torch {torch.__version__}, one CPU thread, {platform.machine()}")
    for name in arguments.names:
        module = importlib.import_module(f"benchmarks.{name}")
        title, _, text = (module.__doc__ or "").partition("\n")
        print(f"\n## {title}\n\n{text.strip()}\n", flush=True)
        module.run(quick=arguments.quick)


if __name__ == "__main__":
    main()
