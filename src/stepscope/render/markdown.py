"""The trace as Markdown, for notes, issues and pull requests."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

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
    from collections.abc import Iterable

    from stepscope.pipeline.document import Document, PredictionTrace, UpdateTrace


def render(document: Document) -> str:
    """The whole trace as Markdown."""
    lines = [f"# stepscope trace: {text(document.title)}", ""]
    lines += [f"- {text(line)}" for line in (*document.models, *document.optimizers)]
    lines += [f"- {document.updates} updates", ""]
    if document.update is not None:
        lines += _update(document.update)
    lines += _training(document)
    if document.update is not None and document.update.prediction is not None:
        lines += _prediction(document.update.prediction)
    lines += ["## About this record", ""]
    lines += [f"- {text(note)}" for note in document.notes]
    lines += [f"- record: {code(document.record)}", ""]
    return "\n".join(lines)


def _update(update: UpdateTrace) -> list[str]:
    lines = [f"## Update {update.number}", "", text(" → ".join(update.order)), "", "### Data flow", ""]
    rows = [
        (f"[{b.name or 'input'}]", shape(b.shape), ", ".join(values_of(b)), first_values(b), "") for b in update.batch
    ]
    stages, left_out = shown_stages(update.stages)
    for stage in stages:
        before = shape(stage.before[0]) if stage.before else "?"
        after = shape(stage.after[0]) if stage.after else "?"
        name = "\u2003" * stage.depth + (stage.name if stage.name == stage.cls else f"{stage.name} {stage.cls}")
        gradient = magnitude(stage.gradient)
        output = ", ".join(values_of(stage.output))
        rows.append((name, f"{before} → {after}", output, first_values(stage.output), gradient))
    lines += _table(("layer", "shape", "output", "first values", "gradient, rms"), rows)
    if left_out + update.stages_left_out:
        lines += [f"{left_out + update.stages_left_out} deeper layers are not shown.", ""]
    for loss in update.losses:
        right = f"; {loss.right} of {loss.of} right" if loss.of else ""
        lines += [f"Loss: {code(loss.function or '?')} = **{number(loss.value, 6)}**{right}", ""]
    lines += ["### What the step did", ""]
    moved = [
        (
            m.name,
            shape(m.shape),
            number(m.gradient_norm),
            number(m.weight_norm),
            number(m.update_norm),
            number(m.ratio, 2),
        )
        for m in update.moved
    ]
    lines += _table(("parameter", "shape", "|gradient|", "|weight|", "|change|", "ratio"), moved)
    for arithmetic in update.arithmetic[:1]:
        place = f"{arithmetic.parameter}[{', '.join(map(str, arithmetic.index))}]"
        lines += [f"### One weight, worked out: {code(place)}", "", "```text"]
        lines += [verbatim(arithmetic.formula)] if arithmetic.formula else []
        lines += [f"w = {number(arithmetic.before, 6)}, g = {number(arithmetic.gradient, 6)}"]
        lines += [verbatim(line) for line in arithmetic.lines]
        lines += [f"the optimizer made it {number(arithmetic.after, 6)}", "```", ""]
        verdict = agreement(arithmetic.difference, agrees=arithmetic.agrees)
        lines += [verdict or f"Not re-derived: {text(arithmetic.why)}", ""]
    return lines


def _training(document: Document) -> list[str]:
    if not document.epochs:
        return []
    rows = []
    for row in document.epochs:
        loss = number(row.loss)
        if row.losses:
            loss = ", ".join(f"{name} {number(value)}" for name, value in row.losses.items())
        rows.append(
            (
                row.name,
                loss,
                percent(row.accuracy),
                number(row.evaluation_loss),
                percent(row.evaluation_accuracy),
                row.observation,
            )
        )
    head = (document.epochs_are, "loss", "accuracy", "validation loss", "validation accuracy", "observation")
    return ["## Training", "", *_table(head, rows)]


def _prediction(trace: PredictionTrace) -> list[str]:
    lines = [f"## Prediction: sample {trace.sample}", ""]
    steps = [(s.name, shape(s.shape), " ".join(number(v, 3) for v in s.values)) for s in trace.steps]
    lines += _table(("place", "shape", "values"), steps)
    if trace.predicted:
        lines += [f"Predicted {text(trace.predicted)}, wanted {text(trace.target)}. {text(trace.loss_text)}", ""]
    if trace.back:
        back = [(s.name, shape(s.shape), " ".join(number(v, 3) for v in s.values)) for s in trace.back]
        lines += _table(("gradient at", "shape", "values"), back)
    return lines


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    names = list(head)
    lines = ["| " + " | ".join(text(name) for name in names) + " |", "|" + " --- |" * len(names)]
    lines += ["| " + " | ".join(text(cell) for cell in row) + " |" for row in rows]
    return [*lines, ""]


def text(foreign: str, most: int = 200) -> str:
    """Foreign text that Markdown (and the HTML in it) leaves as it is."""
    escaped = re.sub(r"([\\`*_\[\]<>|&])", r"\\\1", clean(foreign, most))
    return escaped.replace("\\&", "&amp;").replace("\\<", "&lt;")


def code(foreign: str) -> str:
    """Foreign text as code."""
    return f"`{verbatim(foreign)}`"


def verbatim(foreign: str) -> str:
    """Foreign text that cannot end the code it stands in."""
    return clean(foreign).replace("`", "\u2019")
