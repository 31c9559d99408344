"""Building the trace document from a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from stepscope.errors import NothingToShowError, UsageError
from stepscope.pipeline.arithmetic import derive
from stepscope.pipeline.document import Arithmetic, Document, Moved, UpdateTrace
from stepscope.pipeline.flow import losses_of, stages_of, work_out
from stepscope.pipeline.prediction import trace_prediction
from stepscope.pipeline.source import annotate
from stepscope.pipeline.training import curves_of, epochs_are, rows_of
from stepscope.record import events as ev
from stepscope.record.numbers import to_number
from stepscope.record.updates import Update

if TYPE_CHECKING:
    from stepscope.record.look import Look, ParameterLook
    from stepscope.record.run import RankRun, Run

SCHEMA = 1

_SINGULAR = {
    "forward calls": "forward call",
    "losses": "loss",
    "backward passes": "backward pass",
    "batches": "batch",
    "optimizers": "optimizer",
}


def build(run: Run, number: int | None = None) -> Document:
    """The trace of ``run``, with the update ``number`` (default: the first looked at) in full.

    Raises:
        NothingToShowError: no update was seen.
        UsageError: ``number`` was not looked at closely; the message names those that were.
    """
    main = run.main
    if not main.update_count and main.forward_look is None:
        raise NothingToShowError(what_was_seen(main))
    update = _chosen(main, number) if main.update_count else _forward_only(main, number)
    return Document(
        schema=SCHEMA,
        title=Path(run.info.script).name if run.info.script else "watched training",
        record=str(run.folder),
        command=run.info.command,
        started=run.info.started,
        versions=f"stepscope {run.info.stepscope}, torch {run.info.torch}, Python {run.info.python}",
        models=[_model(model) for model in main.models.values() if model.parameters],
        optimizers=[_optimizer(seen) for seen in main.optimizers.values()],
        updates=main.update_count,
        update=_trace(main, update) if update is not None else None,
        source=annotate(main, update) if update is not None else [],
        epochs=rows_of(main),
        epochs_are=epochs_are(main),
        curves=curves_of(main),
        notes=list(_notes(run)),
    )


def _forward_only(run: RankRun, number: int | None) -> Update:
    """Nothing was trained, but a forward ran: what it did can be shown all the same."""
    if number not in {None, 0}:
        raise UsageError(f"there is no update {number}: {what_was_seen(run)}")
    calls = [event for event in run.of(ev.ModelCalled) if event.grad]
    losses = [event for event in run.of(ev.LossComputed) if event.grad]
    backwards = list(run.of(ev.Backward))
    return Update(0, "step", events=[*calls[:1], *losses[:1], *backwards[:1]], look=run.forward_look)


def _chosen(run: RankRun, number: int | None) -> Update | None:
    looks = run.looks
    if number is None:
        return looks[0] if looks else None
    for update in looks:
        if update.index == number:
            return update
    seen = ", ".join(str(update.index) for update in looks[:30]) or "none"
    raise UsageError(f"update {number} was not looked at closely; these were: {seen}")


def what_was_seen(run: RankRun) -> str:
    """Why there is no update, and what there was instead."""
    counts = {
        "forward calls": sum(1 for e in run.of(ev.ModelCalled)),
        "losses": sum(1 for e in run.of(ev.LossComputed)),
        "backward passes": run.round_count,
        "batches": sum(1 for e in run.of(ev.BatchFetched)),
        "optimizers": len(run.optimizers),
    }
    parts = [f"{count} {_SINGULAR[what] if count == 1 else what}" for what, count in counts.items() if count]
    seen = ", ".join(parts) or "nothing of a training at all"
    if run.ended is not None and run.ended.left_out:
        seen += f", and {run.ended.left_out} more events that were only counted"
    return f"no optimizer step was seen, and no update without an optimizer either; what was seen: {seen}"


def _trace(run: RankRun, update: Update) -> UpdateTrace:
    look = update.look
    assert look is not None
    values = run.values(look)
    return UpdateTrace(
        number=update.index,
        kind=update.kind,
        owners=[run.optimizer_name(owner) for owner in update.owners],
        rounds=len(update.rounds) + update.rounds_left_out,
        loss=None if update.loss is None else to_number(update.loss),
        order=_order(update),
        batch=look.batch,
        stages=stages_of(look),
        stages_left_out=look.layers_left_out,
        worked=work_out(look, values),
        losses=losses_of(look),
        graph=_graph(look),
        moved=[_moved(parameter) for parameter in look.parameters],
        arithmetic=_arithmetic(look),
        prediction=trace_prediction(look, values),
        look_seconds=look.seconds,
    )


def _order(update: Update) -> list[str]:
    """The phases of the update in the order they happened, repetitions folded."""
    order: list[str] = []
    for phase, _line in update.lines:
        if not order or order[-1] != phase:
            order.append(phase)
    return order


def _graph(look: Look) -> str:
    if not look.graphs:
        return ""
    graph = look.graphs[0]
    reached = f", reaching {len(graph.reached)} parameters" if graph.reached else ""
    return f"{graph.operations} operations in {len(graph.nodes)} modules{reached}"


def _moved(parameter: ParameterLook) -> Moved:
    return Moved(
        name=parameter.name,
        shape=parameter.before.shape if parameter.before else [],
        before=parameter.before,
        gradient=parameter.gradient,
        after=parameter.after,
        gradient_norm=parameter.gradient_norm,
        weight_norm=parameter.weight_norm,
        update_norm=parameter.update_norm,
        ratio=parameter.ratio,
    )


def _arithmetic(look: Look) -> list[Arithmetic]:
    optimizers = {optimizer.id: optimizer for optimizer in look.optimizers}
    derived = (derive(parameter, optimizers.get(parameter.optimizer or "")) for parameter in look.parameters)
    return [arithmetic for arithmetic in derived if arithmetic is not None]


def _model(model: ev.ModelSeen) -> str:
    count = sum(_size(parameter.shape) for parameter in model.parameters)
    return f"{model.name}: {model.cls}, {count:,} parameters in {model.modules} module{'s' * (model.modules != 1)}"


def _size(shape: list[int]) -> int:
    size = 1
    for length in shape:
        size *= length
    return size


def _optimizer(seen: ev.OptimizerSeen) -> str:
    options = seen.groups[0].options if seen.groups else {}
    shown = [f"{name}={options[name]}" for name in ("lr", "momentum", "betas", "weight_decay") if options.get(name)]
    count = sum(len(group.parameters) for group in seen.groups)
    return f"{seen.name}: {seen.cls}({', '.join(shown)}) on {count} parameter tensor{'s' * (count != 1)}"


def _notes(run: Run) -> list[str]:
    """What a reader must know about this record: what was sampled, what is missing."""
    main = run.main
    notes = []
    if not main.update_count:
        return [what_was_seen(main)]
    looks = [str(update.index) for update in main.looks]
    few = ", ".join(looks[:12]) + (f" and {len(looks) - 12} more" if len(looks) > 12 else "")
    notes.append(f"{len(looks)} of {main.update_count} updates were looked at closely: {few or 'none'}")
    if any(True for _ in main.of(ev.CompilingStarted)):
        notes.append("code was compiled: inside it only the boundaries were noted")
    children = sum(1 for _ in main.of(ev.ChildStarted))
    if children:
        notes.append(f"{children} child process(es) were started and not watched")
    notes.extend(
        f"a part of stepscope failed and stopped observing: {d.part} ({d.message})" for d in main.of(ev.Defect)
    )
    if main.ended is None:
        notes.append("the record has no end: the script was killed, or is still running")
    if len(run.ranks) > 1:
        notes.append(f"{len(run.ranks)} ranks left events; this is rank {run.ranks[0]}")
    return notes
