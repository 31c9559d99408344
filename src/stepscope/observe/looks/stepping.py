"""What a step did: gradients, weights before and after, the optimizer's state, one followed weight."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from stepscope.observe.gauge import MOST_ELEMENTS, Reading, looks_plain, thinned
from stepscope.observe.looks.keeping import MOST_OF_A_ROW
from stepscope.observe.registry import options_of
from stepscope.observe.thorough.marks import whole_mark
from stepscope.record.look import Cell, OptimizerLook, ParameterLook, Summary, value_key
from stepscope.record.numbers import Number, to_number

if TYPE_CHECKING:
    from torch.optim import Optimizer

    from stepscope.observe.looks.keeping import Kept
    from stepscope.observe.registry import ParameterEntry, Registry

Scalar = Tensor | float


@dataclass
class _Parameter:
    """One parameter between before and after the step."""

    entry: ParameterEntry
    tensor: Tensor
    copy: Tensor
    optimizer: str | None
    group: int
    before: Reading
    version: int
    states: Any = None
    late: bool = False  # the gradient may yet change inside the step: a closure, or a hook of the user's
    moved: bool = False  # a gradient came when a step had moved the weight already
    gradient: Reading | None = None
    gradient_norm: Scalar | None = None
    after: Reading | None = None
    weight_norm: Scalar | None = None
    update_norm: Scalar | None = None
    unchanged: Scalar | None = None
    shape: list[int] = field(default_factory=list)
    cell: Tensor | None = None
    cell_before: Scalar | None = None
    cell_after: Scalar | None = None
    cell_gradient: Scalar | None = None
    state_before: dict[str, Scalar] = field(default_factory=dict)
    state_after: dict[str, Scalar] = field(default_factory=dict)
    state: dict[str, Reading] = field(default_factory=dict)
    mark_before: Tensor | None = None
    mark_after: Tensor | None = None
    mark_gradient: Tensor | None = None


class StepLook:
    """Measures parameters around a step."""

    def __init__(self, registry: Registry, cells: dict[str, Tensor], kept: Kept) -> None:
        """Follow the weights in ``cells`` (by parameter id); a new one is chosen where none is."""
        self._registry = registry
        self._cells = cells
        self._kept = kept
        self._parameters: dict[str, _Parameter] = {}
        self._optimizers: list[tuple[OptimizerLook, Tensor | None]] = []
        self.marks = False  # whether ranks are to be compared

    def before_step(self, optimizer: Optimizer, id_: str, *, gradients: bool = True, closure: bool = False) -> None:
        """Measure the parameters of ``optimizer`` that are about to move.

        ``gradients``: only those that have one. ``closure``: their gradients may yet be computed, inside the step.
        """
        options = [options_of(group) for group in optimizer.param_groups]
        late = closure or bool(optimizer._optimizer_step_pre_hooks)
        # A fused step under a GradScaler divides by the scale itself, and does nothing where a gradient is not finite.
        scale, found_inf = getattr(optimizer, "grad_scale", None), getattr(optimizer, "found_inf", None)
        skipped = found_inf.detach().clone() if isinstance(found_inf, Tensor) else None
        self._optimizers.append((OptimizerLook(id_, type(optimizer).__name__, options), skipped))
        for number, group in enumerate(optimizer.param_groups):
            for parameter in group["params"]:
                if parameter.grad is None and gradients and not closure:
                    continue
                measured = self._measure(parameter, id_, number, optimizer.state)
                if measured is None:
                    continue
                measured.late = late
                if parameter.grad is not None:
                    gradient = parameter.grad.detach()
                    self._add_gradient(measured, gradient / scale if isinstance(scale, Tensor) else gradient)

    @property
    def optimizers(self) -> list[OptimizerLook]:
        """The optimizers that stepped, in order."""
        return [
            OptimizerLook(look.id, look.cls, look.groups, skipped is not None and bool(skipped.any()))
            for look, skipped in self._optimizers
        ]

    def gradients_came(self, parameters: list[Tensor], gradients: list[Tensor | None]) -> None:
        """A closure or a manual update: the gradients are known before (or without) a step."""
        for parameter, gradient in zip(parameters, gradients, strict=True):
            entry = self._registry.entry(parameter)
            measured = self._parameters.get(entry.id) if entry else None
            if measured is None and entry is not None and not entry.owners:
                measured = self._measure(parameter, None, 0)
            if measured is None or gradient is None:
                continue
            if measured.late:
                # A closure that is called several times (LBFGS): what counts is the gradient where the step began.
                measured.moved = measured.moved or measured.tensor._version != measured.version
            if measured.gradient is None or (measured.late and not measured.moved):
                self._add_gradient(measured, gradient)

    def after_step(self, optimizer: Optimizer) -> None:
        """Measure what moved."""
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                entry = self._registry.entry(parameter)
                measured = self._parameters.get(entry.id) if entry else None
                if measured is None:
                    continue
                if measured.late and not measured.moved and measured.after is None and parameter.grad is not None:
                    self._add_gradient(measured, parameter.grad)  # as it was used
                self._finish(measured)
                state = optimizer.state.get(parameter)
                if state:
                    measured.state_after = _at_cell(state, measured)
                    measured.state = {
                        name: Reading(value)
                        for name, value in state.items()
                        if isinstance(value, Tensor) and value.shape == parameter.shape and value.dim()
                    }

    def after_manual(self) -> None:
        """The next forward begins: a manual update has been made by now."""
        for measured in self._parameters.values():
            if measured.after is None:
                self._finish(measured)

    @property
    def waits(self) -> bool:
        """Whether parameters were measured that no step has moved yet."""
        return any(measured.after is None for measured in self._parameters.values())

    def _measure(self, parameter: Tensor, optimizer: str | None, group: int, states: Any = None) -> _Parameter | None:
        entry = self._registry.entry(parameter)
        if entry is None or entry.id in self._parameters or not looks_plain(parameter):
            return None
        weight = parameter.detach()
        measured = _Parameter(
            entry=entry,
            tensor=parameter,
            copy=thinned(weight).clone(),
            optimizer=optimizer,
            group=group,
            before=Reading(weight),
            version=parameter._version,
            shape=list(weight.shape),
        )
        self._parameters[entry.id] = measured
        if self.marks and weight.numel():
            measured.mark_before = whole_mark(weight)
        measured.states = None if states is None else states.get(parameter)
        return measured

    def _add_gradient(self, measured: _Parameter, gradient: Tensor) -> None:
        gradient = gradient.detach()
        if gradient.layout is torch.sparse_coo and gradient.numel() <= MOST_ELEMENTS:
            gradient = gradient.to_dense()
        if not looks_plain(gradient) or not gradient.numel():
            return
        measured.gradient = Reading(gradient)
        if self.marks:
            measured.mark_gradient = whole_mark(gradient)
        measured.gradient_norm = _norm(gradient)
        if gradient.is_complex():
            return  # no weight is followed: a cell is one real number
        cell = self._cells.get(measured.entry.id)
        if cell is None or cell.device != gradient.device:
            cell = self._cells[measured.entry.id] = gradient.reshape(-1).abs().argmax()
        measured.cell = cell
        measured.cell_gradient = _pick(gradient, cell)
        if measured.cell_before is not None:
            return
        measured.cell_before = _pick(measured.tensor.detach(), cell)
        measured.state_before = _at_cell(measured.states, measured) if measured.states else {}
        measured.states = None
        if len(measured.shape) >= 2 and measured.copy.numel() == measured.tensor.numel():
            rows = measured.copy.reshape(measured.shape[0], -1)
            row = rows.index_select(0, torch.div(cell, rows.shape[1], rounding_mode="floor").reshape(1))
            self._kept.keep(value_key("row", measured.entry.id), row, MOST_OF_A_ROW)
        elif len(measured.shape) == 1:
            self._kept.keep(value_key("row", measured.entry.id), measured.copy)

    def _finish(self, measured: _Parameter) -> None:
        weight = measured.tensor.detach()
        measured.after = Reading(weight)
        if measured.mark_before is not None:
            measured.mark_after = whole_mark(weight)
        part = thinned(weight)
        if part.shape != measured.copy.shape:
            return  # the parameter's data was replaced by another shape
        delta = part - measured.copy
        grown = (weight.numel() / max(part.numel(), 1)) ** 0.5
        measured.weight_norm = _norm(measured.copy) * grown
        measured.update_norm = _norm(delta) * grown
        if delta.numel():
            measured.unchanged = 1.0 - torch.count_nonzero(delta) / delta.numel()
        if measured.cell is not None:
            measured.cell_after = _pick(weight, measured.cell)

    def parameters(self) -> list[ParameterLook]:
        """The numbers."""
        return [_look(measured) for measured in self._parameters.values() if measured.after is not None]


def _norm(tensor: Tensor) -> Tensor:
    part = thinned(tensor)
    real = part if part.is_floating_point() or part.is_complex() else part.to(torch.float32)
    if real.dtype in {torch.float16, torch.bfloat16}:
        real = real.float()
    norm: Tensor = torch.linalg.vector_norm(real)
    scaled: Tensor = norm * (tensor.numel() / max(part.numel(), 1)) ** 0.5
    return scaled


def _pick(tensor: Tensor, cell: Tensor) -> Tensor:
    return tensor.reshape(-1).index_select(0, cell.reshape(1))[0]


def _at_cell(state: dict[str, Any], measured: _Parameter) -> dict[str, Scalar]:
    found: dict[str, Scalar] = {}
    for name, value in state.items():
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            found[name] = float(value)
        elif isinstance(value, Tensor) and looks_plain(value):
            if value.dim() == 0:
                found[name] = value.detach().clone()
            elif list(value.shape) == measured.shape and measured.cell is not None:
                found[name] = _pick(value.detach(), measured.cell)
    return found


def _number(value: Scalar | None) -> Number | None:
    return None if value is None else to_number(float(value))


def _numbers(values: dict[str, Scalar]) -> dict[str, Number]:
    return {name: to_number(float(value)) for name, value in values.items()}


def _look(measured: _Parameter) -> ParameterLook:
    weight, update = _number(measured.weight_norm), _number(measured.update_norm)
    ratio = None
    if isinstance(weight, float) and isinstance(update, float) and weight:
        ratio = to_number(update / weight)
    return ParameterLook(
        id=measured.entry.id,
        name=measured.entry.name,
        optimizer=measured.optimizer,
        group=measured.group,
        before=measured.before.summary(),
        after=_summary(measured.after),
        gradient=_summary(measured.gradient),
        gradient_norm=_number(measured.gradient_norm),
        weight_norm=weight,
        update_norm=update,
        ratio=ratio,
        unchanged=_number(measured.unchanged),
        cell=_cell(measured),
        mark_before=_mark(measured.mark_before),
        mark_after=_mark(measured.mark_after),
        mark_gradient=_mark(measured.mark_gradient),
        state={name: reading.summary() for name, reading in measured.state.items()},
    )


def _summary(reading: Reading | None) -> Summary | None:
    return None if reading is None else reading.summary()


def _mark(mark: Tensor | None) -> int:
    return 0 if mark is None else int(mark)


def _cell(measured: _Parameter) -> Cell | None:
    if measured.cell is None or measured.cell_before is None:
        return None
    index = []
    flat = int(measured.cell)
    for size in reversed(measured.shape):
        index.append(flat % size)
        flat //= size
    return Cell(
        index=index[::-1],
        before=to_number(float(measured.cell_before)),
        after=_number(measured.cell_after),
        gradient=_number(measured.cell_gradient),
        state_before=_numbers(measured.state_before),
        state_after=_numbers(measured.state_after),
    )
