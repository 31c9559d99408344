"""``stepscope demo``: train on real digits, watched, and explain what happened."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stepscope.cli import output
from stepscope.errors import StepscopeError, UsageError

if TYPE_CHECKING:
    from stepscope.pipeline.document import Document

_SCRIPTS = Path(__file__).parents[1] / "demos"

#: Demo -> its script, and the arguments of each training that is shown.
_DEMOS = {
    "digits": (
        "digits.py",
        (("a linear classifier", ["--hidden", "0"]), ("one hidden ReLU layer", ["--hidden", "64"])),
    ),
    "mnist": ("digits.py", (("a linear classifier", ["--hidden", "0"]), ("one hidden ReLU layer", ["--hidden", "64"]))),
    "regression": ("regression.py", (("linear regression on three points", []),)),
    "network": (
        "network.py",
        (("a 3-4-2 network, forward only", []), ("the same network, trained for five epochs", ["--epochs", "5"])),
    ),
    "classifier": ("classifier.py", (("64 samples, 10 features, 3 classes, five epochs", []),)),
}

_HELP = """Train on real data, watched, and show every step of it.

\b
digits      scikit-learn's handwritten digits: a linear model, then a hidden layer
mnist       the same on MNIST files:  stepscope demo mnist --data DIR
regression  a line through three points: loss before and after one step
network     a 3-4-2 network with softmax on one sample
classifier  64 samples of 10 features into 3 classes, five epochs

Each is a plain training script; --source prints it.
"""


@click.command("demo", help=_HELP)
@click.option("--source", is_flag=True, help="Print the script instead of running it.")
@click.option("--data", type=click.Path(), metavar="DIR", help="Folder with MNIST files (IDX, gzipped or not).")
@click.option("--epochs", type=click.IntRange(min=1), help="Train for so many epochs.  [default: the script's own]")
@click.option("--seed", type=int, help="Of weights, split and order (digits and mnist).  [default: 0]")
@click.argument("name", type=click.Choice(list(_DEMOS)), default="digits", required=False)
def command(name: str, *, source: bool, data: str | None, epochs: int | None, seed: int | None) -> None:
    """Run the trainings of a demo one after the other."""
    script, trainings = _DEMOS[name]
    if source:
        click.echo((_SCRIPTS / script).read_text(encoding="utf-8"), nl=False)
        return
    extra = _extra(name, data, epochs, seed)
    documents = []
    for number, (title, arguments) in enumerate(trainings, start=1):
        click.echo(f"\n[{number}/{len(trainings)}] {title}: {' '.join(['python', script, *arguments, *extra])}\n")
        documents.append(_train(_SCRIPTS / script, [*arguments, *extra]))
        shown = documents[-1] if number == 1 or name == "network" else _only_training(documents[-1])
        click.echo(output.lower(shown, "text", to_terminal=sys.stdout.isatty()), nl=False)
    if len(documents) == 2 and documents[0].epochs:
        click.echo("\n" + _compare(*documents))


def _extra(name: str, data: str | None, epochs: int | None, seed: int | None) -> list[str]:
    if name == "mnist" and data is None:
        raise UsageError("name the folder with the MNIST files: stepscope demo mnist --data DIR")
    if data is not None and name != "mnist":
        raise UsageError(f"--data goes with the demo mnist, not with {name}")
    if name in {"regression", "classifier", "network"} and (epochs is not None or seed is not None):
        raise UsageError(f"the demo {name} takes neither --epochs nor --seed")
    given = {"--data": data, "--epochs": epochs, "--seed": seed}
    return [word for option, value in given.items() if value is not None for word in (option, str(value))]


def _train(script: Path, arguments: list[str]) -> Document:
    """Run one training under a watch, and read its record."""
    from stepscope.observe.frames import count_as_user
    from stepscope.observe.schedule import Plan
    from stepscope.observe.watch import Watch
    from stepscope.pipeline.build import build

    count_as_user(str(script))
    kept = sys.argv[:], sys.path[:]
    sys.argv[:] = [str(script), *arguments]
    sys.path.insert(0, str(script.parent))
    watch = Watch(None, Plan(), str(script), arguments)
    try:
        with watch:
            runpy.run_path(str(script), run_name="__main__")
    except SystemExit as end:
        if end.code not in {None, 0}:
            raise StepscopeError(str(end.code)) from None
    finally:
        sys.argv[:], sys.path[:] = kept
    return build(watch.run)


def _only_training(document: Document) -> Document:
    """The document without its first update: that of the training before looked the same."""
    import msgspec

    return msgspec.structs.replace(document, update=None, source=[])


def _compare(first: Document, second: Document) -> str:
    """What the hidden layer changed, in the numbers of both records."""
    from stepscope.record.numbers import to_float

    one, two = first.epochs[-1], second.epochs[-1]
    lines = ["What the hidden layer changed, after the last epoch:"]
    names = ("training loss", "validation loss")
    for name, a, b in zip(names, (one.loss, one.evaluation_loss), (two.loss, two.evaluation_loss), strict=True):
        if a is not None and b is not None:
            lines.append(f"  {name:<20} {to_float(a):9.4f} -> {to_float(b):9.4f}")
    names = ("training accuracy", "validation accuracy")
    pairs = ((one.accuracy, two.accuracy), (one.evaluation_accuracy, two.evaluation_accuracy))
    for name, (a, b) in zip(names, pairs, strict=True):
        if a is not None and b is not None:
            lines.append(f"  {name:<20} {100 * a:7.2f} % -> {100 * b:7.2f} %  ({100 * (b - a):+.2f} points)")
    lines.append(f"records: {first.record}\n         {second.record}")
    return "\n".join(lines)
