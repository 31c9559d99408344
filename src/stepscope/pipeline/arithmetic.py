"""The step's arithmetic, re-derived: what the optimizer's formula gives, beside what it did.

The formulas are written from the papers and the torch documentation, in plain Python floats,
independently of torch's code: SGD (momentum, dampening, Nesterov), Adam, AdamW, RMSprop.
"""

from __future__ import annotations

import math
from copy import copy
from typing import TYPE_CHECKING

import msgspec

from stepscope.pipeline.document import Arithmetic
from stepscope.record.numbers import Number, is_finite, to_float, to_number

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from stepscope.record.look import Cell, OptimizerLook, ParameterLook
    from stepscope.record.numbers import Options

    _Formula: TypeAlias = Callable[["_Derivation"], tuple[str, float]]

#: Rounding of the parameter's dtype, relative, and of numbers too small for it, absolute.
_ROUNDING = {
    "float64": (2.3e-16, 2.3e-308),
    "float32": (1.2e-7, 1.2e-38),
    "bfloat16": (7.9e-3, 1.2e-38),
    "float16": (9.8e-4, 6.0e-8),
}


class _Unknown(Exception):  # noqa: N818  # no error: the reason why nothing is re-derived
    """The formula cannot be worked out from what was recorded."""


class _Derivation:
    """Works out one step in numbers, writing down each line."""

    def __init__(self, cell: Cell, options: Options) -> None:
        self.weight = to_float(cell.before)
        self.gradient = to_float(cell.gradient)
        self.state = {name: to_float(value) for name, value in cell.state_before.items()}
        self.options = options
        self.lines: list[str] = []

    def rate(self) -> float:
        """The learning rate."""
        if "lr" not in self.options:
            raise _Unknown("its option lr was not recorded")
        return self.option("lr")

    def option(self, name: str, default: float = 0.0) -> float:
        """A number among the options of the parameter's group."""
        value = self.options.get(name, default)
        if isinstance(value, (bool, int, float)):
            return float(value)
        if value is None:
            return default
        raise _Unknown(f"its option {name} is not a plain number")

    def pair(self, name: str) -> tuple[float, float]:
        """Two numbers (the betas)."""
        value = self.options.get(name)
        if isinstance(value, list) and len(value) == 2:
            return float(value[0]), float(value[1])
        raise _Unknown(f"its option {name} was not recorded")

    def write(self, name: str, expression: str, value: float) -> float:
        """Write a line ``name = expression = value``; return the value."""
        self.lines.append(f"{name} = {expression} = {_show(value)}")
        return value


def derive(parameter: ParameterLook, optimizer: OptimizerLook | None) -> Arithmetic | None:
    """The arithmetic of the followed weight of ``parameter``; None where none was followed."""
    cell = parameter.cell
    if cell is None:
        return None
    cls = optimizer.cls if optimizer else "manual update"
    head = Arithmetic(
        parameter=parameter.name,
        index=cell.index,
        optimizer=cls,
        before=cell.before,
        gradient=cell.gradient,
        after=cell.after,
    )
    if optimizer is None:
        return _manual(head)
    formula = _FORMULAS.get(cls)
    if formula is None:
        return _not_derived(head, f"stepscope has no formula for {cls}")
    if optimizer.skipped:
        lines = ["a gradient of this optimizer is not finite: under a GradScaler the step is left out"]
        return _compare(head, "w_new = w", lines, to_float(cell.before), 0.0)
    if not all(map(is_finite, (cell.before, cell.gradient, cell.after, *cell.state_before.values()))):
        return _not_derived(head, f"{_not_finite(cell)} not a finite number")
    derivation = _Derivation(cell, optimizer.groups[parameter.group])
    try:
        text, computed = formula(derivation)
        allowed = _allowed(formula, derivation, computed, parameter)
    except _Unknown as unknown:
        return _not_derived(head, str(unknown))
    except (ArithmeticError, ValueError):
        return _not_derived(head, "the formula divides by zero, or leaves the range of floats, with these numbers")
    return _compare(head, text, derivation.lines, computed, allowed)


def _not_finite(cell: Cell) -> str:
    named = {"the weight before": cell.before, "the gradient": cell.gradient, "the weight after": cell.after}
    named |= {f"the optimizer's {name}": value for name, value in cell.state_before.items()}
    found = [name for name, value in named.items() if not is_finite(value)]
    return " and ".join(found) + (" is" if len(found) == 1 else " are")


def _allowed(formula: _Formula, base: _Derivation, computed: float, parameter: ParameterLook) -> float:
    """How far rounding alone may take the step from ``computed``.

    Found by nudging each number that went in by one rounding: so it also holds where terms cancel.
    """
    epsilon, tiny = _ROUNDING.get(parameter.before.dtype if parameter.before else "float32", (1.2e-7, 1.2e-38))

    def nudged(value: float) -> float:
        return value + math.copysign(epsilon * abs(value) + tiny, value)

    moved = 0.0
    for name in ("gradient", *base.state):
        other = copy(base)
        other.lines = []
        if name == "gradient":
            other.gradient = nudged(base.gradient)
        elif name == "step":
            continue  # a count, and exact
        else:
            other.state = {**base.state, name: nudged(base.state[name])}
        moved += abs(formula(other)[1] - computed)
    change = abs(computed - base.weight)
    return 1.5 * epsilon * max(abs(base.weight), abs(computed)) + 4 * moved + 8 * epsilon * change + tiny


def _compare(head: Arithmetic, formula: str, lines: list[str], computed: float, allowed: float) -> Arithmetic:
    difference = to_float(head.after) - computed
    return msgspec.structs.replace(
        head,
        formula=formula,
        lines=lines,
        computed=to_number(computed),
        difference=to_number(difference),
        agrees=abs(difference) <= allowed,
    )


def _not_derived(head: Arithmetic, why: str) -> Arithmetic:
    return msgspec.structs.replace(head, why=why)


def _manual(head: Arithmetic) -> Arithmetic:
    """No optimizer: what rate would have made this change?"""
    if not is_finite(head.gradient) or not is_finite(head.after) or not to_float(head.gradient):
        return _not_derived(head, "no optimizer made this step, and its gradient gives no rate")
    moved = to_float(head.after) - to_float(head.before)
    rate = -moved / to_float(head.gradient)
    return msgspec.structs.replace(
        head,
        lines=[f"(w - w_new) / g = {_show(-moved)} / {_show(head.gradient)} = {_show(rate)}"],
        why="no optimizer object made this step; if the rule was w - lr * g, then lr is the quotient above",
    )


# The formulas. Each returns itself as text and the new weight.


def _decayed(d: _Derivation) -> float:
    """The gradient, turned round by ``maximize``, with L2 weight decay added."""
    gradient = d.gradient
    if d.option("maximize"):
        gradient = d.write("g", f"-({_show(gradient)})", -gradient)
    decay = d.option("weight_decay")
    if decay:
        gradient = d.write("g", f"{_show(gradient)} + {_show(decay)} * {_show(d.weight)}", gradient + decay * d.weight)
    return gradient


def _sgd(d: _Derivation) -> tuple[str, float]:
    rate, momentum = d.rate(), d.option("momentum")
    gradient = _decayed(d)
    formula = "w_new = w - lr * g"
    if momentum:
        before = d.state.get("momentum_buffer")
        if before is None:
            buffer = d.write("buf", "g (first step)", gradient)
        else:
            kept = 1.0 - d.option("dampening")
            buffer = d.write(
                "buf",
                f"{_show(momentum)} * {_show(before)} + {_show(kept)} * {_show(gradient)}",
                momentum * before + kept * gradient,
            )
        if d.option("nesterov"):
            formula = "w_new = w - lr * (g + momentum * buf)"
            gradient = d.write(
                "g", f"{_show(gradient)} + {_show(momentum)} * {_show(buffer)}", gradient + momentum * buffer
            )
        else:
            formula = "w_new = w - lr * buf"
            gradient = buffer
    new = d.weight - rate * gradient
    d.write("w_new", f"{_show(d.weight)} - {_show(rate)} * {_show(gradient)}", new)
    return formula, new


def _adam(d: _Derivation, *, decoupled: bool = False) -> tuple[str, float]:
    rate, (beta1, beta2), eps = d.rate(), d.pair("betas"), d.option("eps", 1e-8)
    weight = d.weight
    if decoupled or d.option("decoupled_weight_decay"):
        gradient = -d.gradient if d.option("maximize") else d.gradient
        decay = d.option("weight_decay")
        if decay:
            weight = d.write(
                "w", f"{_show(weight)} * (1 - {_show(rate)} * {_show(decay)})", weight * (1.0 - rate * decay)
            )
    else:
        gradient = _decayed(d)
    step = int(d.state.get("step", 0.0)) + 1
    first, second = d.state.get("exp_avg", 0.0), d.state.get("exp_avg_sq", 0.0)
    m = d.write(
        "m",
        f"{_show(beta1)} * {_show(first)} + {_show(1 - beta1)} * {_show(gradient)}",
        beta1 * first + (1.0 - beta1) * gradient,
    )
    v = d.write(
        "v",
        f"{_show(beta2)} * {_show(second)} + {_show(1 - beta2)} * ({_show(gradient)})^2",
        beta2 * second + (1.0 - beta2) * gradient * gradient,
    )
    m_hat = d.write("m_hat", f"{_show(m)} / (1 - {_show(beta1)}^{step})", m / (1.0 - beta1**step))
    largest = v
    if d.option("amsgrad"):
        largest = d.write("v", "max(v, v of all steps before)", max(v, d.state.get("max_exp_avg_sq", 0.0)))
    v_hat = d.write("v_hat", f"{_show(largest)} / (1 - {_show(beta2)}^{step})", largest / (1.0 - beta2**step))
    new = weight - rate * m_hat / (math.sqrt(v_hat) + eps)
    d.write("w_new", f"{_show(weight)} - {_show(rate)} * {_show(m_hat)} / (sqrt({_show(v_hat)}) + {_show(eps)})", new)
    return "w_new = w - lr * m_hat / (sqrt(v_hat) + eps)", new


def _adamw(d: _Derivation) -> tuple[str, float]:
    return _adam(d, decoupled=True)


def _rmsprop(d: _Derivation) -> tuple[str, float]:
    rate, alpha, eps, momentum = d.rate(), d.option("alpha", 0.99), d.option("eps", 1e-8), d.option("momentum")
    gradient = _decayed(d)
    square = d.state.get("square_avg", 0.0)
    s = d.write(
        "s",
        f"{_show(alpha)} * {_show(square)} + {_show(1 - alpha)} * ({_show(gradient)})^2",
        alpha * square + (1.0 - alpha) * gradient * gradient,
    )
    if d.option("centered"):
        mean = alpha * d.state.get("grad_avg", 0.0) + (1.0 - alpha) * gradient
        before = d.state.get("grad_avg", 0.0)
        d.write("mean", f"{_show(alpha)} * {_show(before)} + {_show(1 - alpha)} * {_show(gradient)}", mean)
        s = d.write("s", f"{_show(s)} - ({_show(mean)})^2", max(s - mean * mean, 0.0))
    change = gradient / (math.sqrt(s) + eps)
    if momentum:
        before = d.state.get("momentum_buffer", 0.0)
        change = d.write(
            "buf", f"{_show(momentum)} * {_show(before)} + g / (sqrt(s) + eps)", momentum * before + change
        )
        new = d.weight - rate * change
        d.write("w_new", f"{_show(d.weight)} - {_show(rate)} * {_show(change)}", new)
        return "w_new = w - lr * buf", new
    new = d.weight - rate * change
    d.write("w_new", f"{_show(d.weight)} - {_show(rate)} * {_show(gradient)} / (sqrt({_show(s)}) + {_show(eps)})", new)
    return "w_new = w - lr * g / (sqrt(s) + eps)", new


_FORMULAS: dict[str, _Formula] = {
    "SGD": _sgd,
    "Adam": _adam,
    "AdamW": _adamw,
    "RMSprop": _rmsprop,
}


def _show(value: Number | None) -> str:
    return f"{to_float(value):.6g}"
