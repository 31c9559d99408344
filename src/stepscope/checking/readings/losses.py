"""What rules about losses ask of the record: the calls of loss functions, by their line."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from stepscope.checking.words import count

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from stepscope.record.look import LossLook
    from stepscope.record.lossfacts import Behind, LossFacts
    from stepscope.record.run import RankRun
    from stepscope.record.updates import Update

#: Nodes of layers whose results are any numbers: what they made has not been normalised.
LINEAR = frozenset({"Addmm", "Mm", "Linear", "MkldnnLinear", "Convolution", "Bmm", "Baddbmm", "Mv", "Dot"})
#: Nodes whose results are never negative, and flat where they are zero.
RECTIFIERS = frozenset({"Relu", "Threshold", "Hardtanh", "Hardswish"})

Where = tuple[str | None, int]


class Seen(NamedTuple):
    """One call of a loss function in an update that was looked at closely, with what is known of it."""

    update: Update
    loss: LossLook
    facts: LossFacts

    @property
    def maker(self) -> Behind | None:
        """The operation that made the prediction's numbers; None where that is not known."""
        return self.facts.behind[0] if self.facts.behind else None

    @property
    def place(self) -> Where:
        """The line of the loss."""
        return self.loss.file, self.loss.line


def losses(main: RankRun, *functions: str) -> Iterator[Seen]:
    """The calls of these loss functions (of all, where none is named) that were seen closely, in order."""
    for update in main.looks:
        for loss in update.look.losses if update.look is not None else ():
            if loss.facts is not None and (not functions or loss.function in functions):
                yield Seen(update, loss, loss.facts)


def by_line(calls: Iterable[Seen]) -> list[list[Seen]]:
    """The calls of each line."""
    lines: dict[Where, list[Seen]] = {}
    for seen in calls:
        lines.setdefault(seen.place, []).append(seen)
    return list(lines.values())


def always(calls: Iterable[Seen], holds: Callable[[Seen], bool], least: int = 2) -> list[list[Seen]]:
    """The losses all of whose calls (at least ``least``) do ``holds``; together where one operation is behind them.

    Calls of one line whose predictions were made by different operations are judged by themselves:
    a helper may train several models.
    """
    lines: dict[tuple[Where, Where, str], list[Seen]] = {}
    for seen in calls:
        maker = seen.maker
        made = (maker.file, maker.line) if maker is not None else (None, 0)
        lines.setdefault((seen.place, made, maker.operation if maker is not None else ""), []).append(seen)
    causes: dict[Where, list[Seen]] = {}
    for (place, made, _), line in lines.items():
        if len(line) >= least and all(holds(seen) for seen in line):
            causes.setdefault(place if made[0] is None else made, []).extend(line)
    return [sorted(found, key=lambda seen: seen.update.index) for found in causes.values()]


def made_at(maker: Behind | None, place: Where) -> str:
    """In words, on which line an operation ran, where that is another line than ``place``."""
    if maker is None or maker.file is None or (maker.file, maker.line) == place:
        return ""
    name = "" if maker.file == place[0] else f"{os.path.basename(maker.file)} "  # noqa: PTH119  # only the words
    return f" ({name}line {maker.line})"


def so_often(found: list[Seen]) -> str:
    """In words, in how many of the updates that were looked at it was so."""
    return f"so it was in all {count(len({seen.update.index for seen in found}), 'update')} that were looked at"


def other_lines(found: list[Seen]) -> str:
    """In words, on which other lines it is the same; empty where there are none."""
    others = sorted({seen.place[1] for seen in found} - {found[0].place[1]})
    return f"; the same on line {', '.join(str(line) for line in others)}" if others else ""


def number(value: object) -> float:
    """A number of the record as a float; its words for infinities and NaN are what float reads."""
    return float(value)  # type: ignore[arg-type]
