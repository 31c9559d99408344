"""The source, annotated: the user's own lines with the shapes and values that passed through them."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from stepscope.pipeline.document import Source
from stepscope.record import events as ev
from stepscope.record.numbers import is_finite, to_float

if TYPE_CHECKING:
    from stepscope.record.look import Look
    from stepscope.record.run import RankRun
    from stepscope.record.updates import Update

_MOST_NOTES = 4
_MOST_TEXT = 400


def annotate(run: RankRun, update: Update) -> list[Source]:
    """The lines that ran in ``update``, in file order, each with what passed through it."""
    notes: dict[tuple[str, int], list[str]] = defaultdict(list)
    if update.look is not None:
        _from_look(update.look, notes)
    for event in update.events:
        text = _of_event(run, event)
        if event.file is not None and text:
            notes[event.file, event.line].append(text)
    texts = {file: _lines(file) for file, _ in notes}
    return [
        Source(
            file=file,
            line=line,
            text=texts[file][line - 1].rstrip()[:_MOST_TEXT] if 0 < line <= len(texts[file]) else "",
            notes=_few(found),
        )
        for (file, line), found in sorted(notes.items())
    ]


def _from_look(look: Look, notes: dict[tuple[str, int], list[str]]) -> None:
    for one in look.lines:
        into = ", ".join(_shape(shape) for shape in one.inputs)
        out = ", ".join(_shape(shape) for shape in one.outputs)
        times = f" ({one.count} times)" if one.count > 1 else ""
        notes[one.file, one.line].append(f"{one.operation}: {into} -> {out}{times}")
    for layer in look.layers:
        if layer.file is not None and layer.outputs:
            output = layer.outputs[0]
            text = f"{layer.path or layer.cls}: -> {_shape(output.shape)}"
            if is_finite(output.mean):
                text += f", mean {to_float(output.mean):.3g}"
            if layer.gradient is not None and is_finite(layer.gradient.std):
                text += f"; gradient came back with std {to_float(layer.gradient.std):.3g}"
            notes[layer.file, layer.line].append(text)


def _of_event(run: RankRun, event: ev.AnyEvent) -> str:
    match event:
        case ev.BatchFetched():
            return "batch: " + ", ".join(_shape(tensor.shape) for tensor in event.tensors)
        case ev.LossComputed() if event.value is not None:
            return f"{event.function} = {to_float(event.value):.6g}"
        case ev.Backward():
            return f"backward filled {event.filled} gradients"
        case ev.GradientsCleared():
            return f"cleared {event.parameters} gradients"
        case ev.GradientsClipped():
            norm = "" if event.total_norm is None else f", total norm was {to_float(event.total_norm):.4g}"
            return f"clipped by {event.by} at {to_float(event.limit):g}{norm}"
        case ev.OptimizerStepped():
            return f"{run.optimizer_name(event.optimizer)} moved {event.with_gradient} parameters"
        case ev.SchedulerStepped():
            return "learning rate is now " + ", ".join(f"{to_float(rate):.4g}" for rate in event.rates[:2])
    return ""


def _shape(shape: list[int]) -> str:
    return "x".join(map(str, shape)) or "scalar"


def _few(notes: list[str]) -> list[str]:
    distinct = list(dict.fromkeys(notes))
    rest = len(distinct) - _MOST_NOTES
    return distinct if rest <= 0 else [*distinct[:_MOST_NOTES], f"and {rest} more"]


def _lines(file: str) -> list[str]:
    try:
        return Path(file).read_text(errors="replace").splitlines()
    except OSError:
        return []
