"""The trace in the terminal, with rich: right at 80 columns, plain when colours are not wanted."""

from __future__ import annotations

from itertools import zip_longest
from textwrap import wrap
from typing import TYPE_CHECKING

from rich.box import ASCII2, SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Group
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from stepscope.render import chart
from stepscope.render.console import paint
from stepscope.render.text import (
    agreement,
    clean,
    first_values,
    magnitude,
    number,
    percent,
    shape,
    shown_stages,
    values_of,
)

if TYPE_CHECKING:
    from rich.console import RenderableType

    from stepscope.pipeline.document import (
        Arithmetic,
        Document,
        EpochRow,
        LossPart,
        PredictionStep,
        PredictionTrace,
        Stage,
        UpdateTrace,
        Worked,
    )

_CHART_HEIGHT = 10
_NAME_WIDTH, _GRADIENT_WIDTH = 18, 8
_FLOW_WIDTH = 80
_MOST_MOVED = 30
_MOST_ROWS = 30


def render(document: Document, *, width: int = 80, color: bool = False, unicode: bool = True) -> str:
    """The whole trace as text, at most ``width`` columns wide.

    ``color`` adds ANSI colours; without ``unicode`` only ASCII is drawn (foreign text stays as
    it is).
    """
    page = _Page(document, width, unicode=unicode)
    return paint(page.parts(), width=width, color=color, unicode=unicode)


class _Page:
    """The parts of the page, top to bottom."""

    def __init__(self, document: Document, width: int, *, unicode: bool) -> None:
        self.document = document
        self.width = width
        self.unicode = unicode
        self.arrow = "\u2192" if unicode else "->"

    def parts(self) -> list[RenderableType]:
        """Everything there is to show."""
        document = self.document
        parts: list[RenderableType] = [self._title(f"stepscope trace: {clean(document.title)}"), self._head()]
        if document.update is not None:
            parts += self._update(document.update)
        parts += self._training()
        if document.update is not None and document.update.prediction is not None:
            parts += self._prediction(document.update.prediction)
        parts += self._end()
        return parts

    # Pieces.

    def _title(self, text: str) -> RenderableType:
        return Rule(Text(text, style="bold"), characters="\u2500" if self.unicode else "-", align="left")

    def _table(self, *columns: str, right: tuple[int, ...] = ()) -> Table:
        table = Table(box=SIMPLE_HEAD if self.unicode else ASCII2, pad_edge=False, header_style="bold", expand=False)
        for at, column in enumerate(columns):
            least = len(column) if column == "observation" else None  # prose is not to be cut into syllables
            table.add_column(column, justify="right" if at in right else "left", overflow="fold", min_width=least)
        return table

    def _head(self) -> RenderableType:
        document = self.document
        lines = [Text(clean(line)) for line in (*document.models, *document.optimizers)]
        lines.append(Text(f"{document.updates} update{'s' * (document.updates != 1)}", style="dim"))
        return Group(*lines)

    def _update(self, update: UpdateTrace) -> list[RenderableType]:
        owners = f" by {', '.join(map(clean, update.owners))}" if update.owners else " made by hand"
        title = f"Update {update.number}{owners}" if update.number else "What ran (no update was made)"
        parts: list[RenderableType] = [
            Text(),
            self._title(title),
            Text(f" {self.arrow} ".join(map(clean, update.order)), style="dim"),
        ]
        if update.rounds > 1:
            parts.append(Text(f"{update.rounds} rounds of forward and backward; shown is the first", style="dim"))
        parts += self._flow(update)
        if update.worked is not None:
            parts.append(self._worked(update.worked))
        parts += [self._loss(loss, only=len(update.losses) == 1) for loss in update.losses]
        if update.graph:
            parts.append(Text(f"backward went through {clean(update.graph)}", style="dim"))
        parts += self._step(update)
        return parts

    def _flow(self, update: UpdateTrace) -> list[RenderableType]:
        lines = [self._columns("data flow", ["shape"], ["output"], "grad rms")]
        lines[0].stylize("bold")
        lines.append(Text(("\u2500" if self.unicode else "-") * min(self.width, _FLOW_WIDTH), style="dim"))
        for batch in update.batch:
            name = f"[{clean(batch.name, 16) or 'input'}]"
            lines.append(self._columns(name, [shape(batch.shape)], values_of(batch), ""))
            odd = f"{batch.non_finite} of its values are not finite" if batch.non_finite else ""
            lines += self._aside(first_values(batch, 8), odd)
        stages, left_out = shown_stages(update.stages)
        for stage in stages:
            lines += self._stage(stage)
        left_out += update.stages_left_out
        if left_out:
            lines.append(Text(f"{left_out} deeper layers are not shown; they are in the record", style="dim"))
        return [Text(), *lines, Text()]

    def _columns(self, name: str, sizes: list[str], output: list[str], gradient: str) -> Text:
        """A row of the data flow; what is too long for its column goes on in the next line."""
        text = Text(name, style="cyan")
        if cell_len(name) > _NAME_WIDTH:
            text.append("\n" + " " * _NAME_WIDTH)
        else:
            text.append(" " * (_NAME_WIDTH - cell_len(name)))
        room = min(self.width, _FLOW_WIDTH) - _NAME_WIDTH - _GRADIENT_WIDTH - 3
        wide = room * 21 // 51
        left, right = _fit(sizes, " ", wide), _fit(output, ", ", room - wide)
        for at, (a, b) in enumerate(zip_longest(left, right, fillvalue="")):
            start, end = ("\n" + " " * _NAME_WIDTH, "") if at else ("", gradient)
            text.append(f"{start} {a:<{wide}} {b:<{room - wide}} {end:>{_GRADIENT_WIDTH}}".rstrip(" "), style="default")
        return text

    def _stage(self, stage: Stage) -> list[Text]:
        name = "  " * stage.depth + clean(stage.name, 60)
        if stage.name != stage.cls:
            name += f" {clean(stage.cls, 40)}"
        before = shape(stage.before[0]) if stage.before else "?"
        after = shape(stage.after[0]) if stage.after else "?"
        gradient = magnitude(stage.gradient)
        lines = [self._columns(name, [before, f"{self.arrow} {after}"], values_of(stage.output), gradient)]
        single = stage.output is not None and not stage.output.shape
        did = clean(stage.did) if stage.after else "no output was seen"
        return lines + self._aside("" if single else first_values(stage.output, 6), did)

    def _aside(self, values: str, did: str) -> list[Text]:
        """Sample values, and what the layer did, below its line."""
        parts = [f"[{values}]"] if values else []
        parts += [did] if did else []
        if not parts:
            return []
        together = "  ".join(parts)
        room = self.width - _NAME_WIDTH - 1
        lines = [together] if len(together) <= room else [line for part in parts for line in wrap(part, room)]
        return [Text(" " * (_NAME_WIDTH + 1) + line, style="dim") for line in lines]

    def _worked(self, worked: Worked) -> RenderableType:
        parts = [f"{number(w, 4)}*{number(x, 4)}" for w, x in worked.terms]
        rest = worked.terms_total - len(worked.terms)
        if rest > 0:
            parts.append(f"({rest} smaller terms)")
        if worked.bias is not None:
            parts.append(f"{number(worked.bias, 4)}")
        head = (
            f"One output, worked out: output {worked.unit} of layer {clean(worked.layer, 40)}, sample {worked.sample}"
        )
        lines = _hanging("  w . x + b =", " + ".join(parts))
        lines.add_row("            =", f"{number(worked.computed, 6)} (recorded {number(worked.recorded, 6)})")
        return Padding(Group(Text(head, style="bold"), lines), (0, 0, 1, 0))

    def _loss(self, loss: LossPart, *, only: bool) -> RenderableType:
        text = Text("loss ", style="bold")
        if not only:
            text.append(f"of round {loss.round + 1} ", style="bold")
        text.append(f"{clean(loss.function or 'of its own making')}", style="cyan")
        if loss.reduction:
            text.append(f" ({clean(loss.reduction, 20)})", style="dim")
        if loss.prediction is not None:
            text.append(f" of {shape(loss.prediction.shape)}")
        if loss.target is not None:
            text.append(f" and {shape(loss.target.shape)} {clean(loss.target.dtype, 20)}")
        if loss.value is not None:
            text.append(f" = {number(loss.value, 6)}", style="bold")
        if loss.factor != 1.0:
            text.append(f", times {number(loss.factor)}")
        if loss.of:
            answers = f"{loss.right} of {loss.of} right ({percent(loss.right / loss.of)})"
            text.append(f"; {answers}" if text.cell_len + len(answers) + 2 <= self.width else f"\n     {answers}")
        return text

    def _step(self, update: UpdateTrace) -> list[RenderableType]:
        if not update.moved:
            return []
        table = self._table("what the step did", "|gradient|", "|weight|", "|change|", "ratio", right=(1, 2, 3, 4))
        for moved in update.moved[:_MOST_MOVED]:
            name = Text(clean(moved.name, 60), style="cyan")
            name.append(f" {shape(moved.shape)}", style="dim")
            table.add_row(
                name,
                number(moved.gradient_norm),
                number(moved.weight_norm),
                number(moved.update_norm),
                number(moved.ratio, 2),
            )
        parts: list[RenderableType] = [Text(), table, Text()]
        if len(update.moved) > _MOST_MOVED:
            parts.append(Text(f"and {len(update.moved) - _MOST_MOVED} more parameters", style="dim"))
        chosen = next((a for a in update.arithmetic if len(a.index) > 1), None) or next(iter(update.arithmetic), None)
        if chosen is not None:
            parts.append(self._arithmetic(chosen))
        return parts

    def _arithmetic(self, arithmetic: Arithmetic) -> RenderableType:
        place = f"{clean(arithmetic.parameter)}[{', '.join(map(str, arithmetic.index))}]"
        lines: list[RenderableType] = [
            Text(f"One weight, worked out: {place}, {clean(arithmetic.optimizer)}", style="bold")
        ]
        if arithmetic.formula:
            lines.append(Text(f"  {clean(arithmetic.formula)}", style="dim"))
        lines.append(Text(f"  w = {number(arithmetic.before, 6)}, g = {number(arithmetic.gradient, 6)}"))
        for line in arithmetic.lines:
            name, equals, rest = clean(line).partition(" = ")
            lines.append(_hanging(f"  {name}{equals}", rest))
        if arithmetic.after is not None:
            did = Text(f"  the optimizer made it {number(arithmetic.after, 6)}: ")
            style = "green" if arithmetic.agrees else "bold red"
            did.append(agreement(arithmetic.difference, agrees=arithmetic.agrees), style=style)
            lines.append(did if arithmetic.agrees is not None else Text(f"  w_new = {number(arithmetic.after, 6)}"))
        if arithmetic.why:
            lines.append(_hanging("  not re-derived: ", clean(arithmetic.why), style="dim"))
        return Padding(Group(*lines), (0, 0, 0, 0))

    # Training.

    def _training(self) -> list[RenderableType]:
        document = self.document
        drawn = chart.draw(document.curves, self.width, _CHART_HEIGHT, unicode=self.unicode)
        if not document.epochs:
            return []
        parts: list[RenderableType] = [Text(), self._title("Training")]
        if drawn:
            parts += [Text(f"loss\n{drawn}"), Text()]
        parts.append(self._epochs())
        return parts

    def _epochs(self) -> RenderableType:
        rows = self.document.epochs
        several = any(row.losses for row in rows)
        accuracy = any(row.accuracy is not None for row in rows)
        validated = any(row.evaluation_loss is not None for row in rows)
        judged = any(row.evaluation_accuracy is not None for row in rows)
        columns = [clean(self.document.epochs_are), "loss"]
        columns += ["accuracy"] if accuracy else []
        columns += ["val. loss"] if validated else []
        columns += ["val. acc."] if judged else []
        table = self._table(*columns, "observation", right=tuple(range(1, len(columns))))
        for row in _few(rows):
            if row is None:
                table.add_row("...")
                continue
            loss = number(row.loss)
            if several:
                loss = "\n".join(f"{clean(name, 20)} {number(value)}" for name, value in row.losses.items()) or loss
            cells: list[RenderableType] = [clean(row.name), Text(loss)]
            cells += [percent(row.accuracy)] if accuracy else []
            cells += [number(row.evaluation_loss)] if validated else []
            cells += [percent(row.evaluation_accuracy)] if judged else []
            table.add_row(*cells, Text(clean(row.observation), style="dim"))
        sampled = _sampled(rows)
        return Group(table, Text(sampled, style="dim")) if sampled else table

    # Prediction.

    def _prediction(self, trace: PredictionTrace) -> list[RenderableType]:
        when = ", before the step" if self.document.updates else ""
        parts: list[RenderableType] = [
            Text(),
            self._title(f"Prediction: sample {trace.sample}{when}"),
        ]
        table = self._table("place", "shape", "values")
        for step in trace.steps:
            table.add_row(*_place(step))
        parts += [table, Text()]
        if trace.probabilities:
            shares = " ".join(f"{number(value, 3)}" for value in trace.probabilities)
            parts.append(_hanging("softmax of these scores: ", f"[{shares}]"))
        if trace.predicted:
            parts.append(Text(f"predicted {clean(trace.predicted)}, wanted {clean(trace.target)}"))
        if trace.loss_text:
            parts.append(Text(f"its loss: {clean(trace.loss_text)}"))
        if trace.back:
            back = self._table("and back: the gradient at", "shape", "values")
            for step in trace.back:
                back.add_row(*_place(step))
            parts += [Text(), back]
        return parts

    def _end(self) -> list[RenderableType]:
        document = self.document
        notes = [_hanging("- ", clean(note, 400), style="dim") for note in document.notes]
        # A path is to be copied: it stands in one piece, on a line of its own where it is long.
        return [Text(), *notes, Text(f"- record: {clean(document.record, 4096)}", style="dim")]


def _hanging(head: str, text: str, style: str = "") -> Table:
    """``head``, and beside it ``text``, however many lines that takes."""
    grid = Table.grid()
    grid.add_column(no_wrap=True, style=style, width=len(head) + (not head.endswith(" ")))
    grid.add_column(overflow="fold", style=style)
    grid.add_row(head, text)
    return grid


def _fit(parts: list[str], between: str, width: int) -> list[str]:
    """The parts in one line where that is wide enough, else each in lines of its own."""
    together = between.join(parts)
    if len(together) <= width:
        return [together]
    return [line for part in parts for line in wrap(part, width, break_long_words=True) or [""]]


def _place(step: PredictionStep) -> tuple[Text, Text, Text]:
    size = 1
    for length in step.shape:
        size *= length
    more = " ..." if size > len(step.values) else ""
    values = " ".join(number(value, 3) for value in step.values)
    return Text(clean(step.name, 60), style="cyan"), Text(shape(step.shape)), Text(f"[{values}{more}]")


def _few(rows: list[EpochRow]) -> list[EpochRow | None]:
    if len(rows) <= _MOST_ROWS:
        return list(rows)
    half = _MOST_ROWS // 2
    return [*rows[:half], None, *rows[-half:]]


def _sampled(rows: list[EpochRow]) -> str:
    """What the columns leave out, where they leave out something."""
    updates = sum(row.updates for row in rows)
    known = sum(row.known for row in rows)
    judged = sum(row.judged for row in rows)
    parts = []
    if 0 < known < updates:
        parts.append(f"loss: mean over {known} of {updates} updates")
    if 0 < judged < updates:
        parts.append(f"accuracy: from {judged} of {updates} updates")
    return "; ".join(parts)
