"""Playing a script under a watch and telling its updates in a line of text each.

A script marks its lines with comments such as ``# step``. The skeleton of an update is then a
string such as ``clear forward loss backward step``: a phase stands alone where it happened on
the line marked with its own name, as ``phase@mark`` on another marked line, as ``phase@-`` where
the record names no line, and as ``phase@12`` on a line without a mark.
"""

from __future__ import annotations

import re
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import stepscope

if TYPE_CHECKING:
    from stepscope.record.run import RankRun
    from stepscope.record.updates import Round, Update

_MARK = re.compile(r"#\s*([\w-]+)\s*$")


@dataclass
class Played:
    """A script that ran under a watch, and the record it left."""

    main: RankRun
    marks: dict[int, str]
    names: dict[str, Any]

    def at(self, line: int) -> str:
        """The mark of ``line``."""
        return self.marks.get(line, str(line)) if line else "-"

    def skeleton(self, update: Update) -> str:
        """What happened in ``update``, in order, each at its mark."""
        told = []
        for phase, line in update.lines:
            mark = self.at(line)
            told.append(phase if mark == phase else f"{phase}@{mark}")
        return " ".join(told)

    def owners(self, update: Update) -> str:
        """The variables of the optimizers that stepped; ``-`` where none did."""
        return "+".join(self.main.optimizer_name(owner) for owner in update.owners) or "-"

    def models(self, made: Round) -> str:
        """The variables of the models that a round called with gradients."""
        return "+".join(self.main.models[model].name for model in made.models)

    def told(self) -> list[str]:
        """Each update as ``kind owner rounds: skeleton``."""
        return [f"{u.kind} {self.owners(u)} {len(u.rounds)}: {self.skeleton(u)}" for u in self.main.updates]

    def rounds(self) -> list[list[str]]:
        """Per update, the marks of the lines that ran its rounds' backwards."""
        return [[self.at(made.line) for made in update.rounds] for update in self.main.updates]

    def losses(self) -> list[float | None]:
        """Per update, its loss."""
        return [update.loss for update in self.main.updates]

    def looked_at(self) -> list[int]:
        """The numbers of the updates that were looked at closely."""
        return [update.index for update in self.main.looks]

    def no_defects(self) -> bool:
        """Whether nothing of stepscope's own failed."""
        return not [event for event in self.main.events if type(event).__name__ == "Defect"]


@pytest.fixture(autouse=True)
def on_its_own():
    """Nothing compiled yet, and one thread: on a busy machine tiny tensors are very slow on several."""
    import torch

    dynamo = sys.modules.get("torch._dynamo")
    if dynamo is not None:  # what an earlier test compiled is no business of this one's watch
        dynamo.reset()
        sys.modules["torch._dynamo.utils"].counters.clear()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def play(tmp_path):
    """Run a script's text under a watch; return what it left."""

    def run(text: str, **options: Any) -> Played:
        source = textwrap.dedent(text).strip() + "\n"
        path = Path(tmp_path) / "train.py"
        path.write_text(source, encoding="utf-8")
        marks = {
            number: found.group(1)
            for number, line in enumerate(source.splitlines(), 1)
            if (found := _MARK.search(line)) is not None
        }
        names: dict[str, Any] = {"__name__": "__main__", "__file__": str(path)}
        code = compile(source, str(path), "exec")
        with stepscope.watch(tmp_path / "record", **options) as watch:
            exec(code, names)  # noqa: S102  # a script of the test's own
        played = Played(watch.run.main, marks, names)
        assert played.no_defects(), [e for e in played.main.events if type(e).__name__ == "Defect"]
        ended = played.main.ended
        assert ended is not None
        assert ended.updates == played.main.update_count
        return played

    return run
