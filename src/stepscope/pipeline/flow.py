"""The data flow of one update: stages from the input to the loss, and what each layer did."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stepscope.pipeline.document import LossPart, Stage, Worked
from stepscope.record.look import value_key
from stepscope.record.numbers import Number, is_finite, to_float, to_number

if TYPE_CHECKING:
    from stepscope.record.look import LayerLook, Look, Summary

#: Terms of a worked sum that are written out.
MOST_TERMS = 6


def stages_of(look: Look, round_: int = 0) -> list[Stage]:
    """The layers of one round, in call order, each with its depth in the model."""
    depths: dict[int, int] = {}
    stages = []
    for layer in look.layers:
        depths[layer.index] = depths.get(layer.parent, -1) + 1
        if layer.round != round_:
            continue
        output = layer.outputs[0] if layer.outputs else None
        stages.append(
            Stage(
                layer=layer.index,
                depth=depths[layer.index],
                name=layer.path or layer.cls,
                cls=layer.cls,
                options=layer.options,
                did=_did(layer, output),
                before=[summary.shape for summary in layer.inputs],
                after=[summary.shape for summary in layer.outputs],
                output=output,
                gradient=layer.gradient,
                parameters=layer.parameters,
                line=layer.line,
                file=layer.file,
            )
        )
    return stages


def _did(layer: LayerLook, output: Summary | None) -> str:
    """A sentence on what this layer did to these values; empty where the numbers say nothing."""
    if output is None or output.low is None:
        return ""
    if output.non_finite:
        return f"{output.non_finite} of its outputs are not finite"
    given = layer.inputs[0] if layer.inputs else None
    words = _BY_CLASS.get(layer.cls)
    if words is not None and given is not None:
        return words(given, output)
    return ""


def _relu(given: Summary, output: Summary) -> str:
    if not is_finite(given.low) or to_float(given.low) >= 0.0:
        return "let everything pass: no input was negative"
    return f"set the negative inputs to 0 and let the others pass: {_percent(output.zeros)} of its outputs are 0"


def _linear(given: Summary, output: Summary) -> str:
    outputs = "the output" if output.shape[-1] == 1 else f"each of {output.shape[-1]} outputs"
    return f"{outputs} is a weighted sum of {given.shape[-1]} inputs"


def _softmax(_given: Summary, output: Summary) -> str:
    return f"turned scores into shares that sum to 1 (largest {to_float(output.high):.3g})"


def _dropout(given: Summary, output: Summary) -> str:
    if not is_finite(output.zeros) or not is_finite(given.zeros):
        return ""
    dropped = to_float(output.zeros) - to_float(given.zeros)
    return f"set {_percent(dropped)} of its inputs to 0" if dropped > 0 else "set nothing to 0"


def _squash(given: Summary, output: Summary) -> str:
    return (
        f"squashed {to_float(given.low):.3g} .. {to_float(given.high):.3g} "
        f"into {to_float(output.low):.3g} .. {to_float(output.high):.3g}"
    )


def _norm(given: Summary, output: Summary) -> str:
    return (
        f"mean {to_float(given.mean):.3g} -> {to_float(output.mean):.3g}, "
        f"std {to_float(given.std):.3g} -> {to_float(output.std):.3g}"
    )


def _reshape(given: Summary, output: Summary) -> str:
    return f"kept all {_count(given.shape)} values, in shape {_times(output.shape)}"


_BY_CLASS = {
    "ReLU": _relu,
    "ReLU6": _squash,
    "LeakyReLU": _squash,
    "GELU": _squash,
    "SiLU": _squash,
    "Tanh": _squash,
    "Sigmoid": _squash,
    "Linear": _linear,
    "Softmax": _softmax,
    "Dropout": _dropout,
    "Dropout1d": _dropout,
    "Dropout2d": _dropout,
    "BatchNorm1d": _norm,
    "BatchNorm2d": _norm,
    "LayerNorm": _norm,
    "GroupNorm": _norm,
    "Flatten": _reshape,
}


def _percent(share: Number | None) -> str:
    if not is_finite(share):
        return "?"
    percent = 100 * to_float(share)
    if 0 < percent < 1:
        return "less than 1 %"
    return "more than 99 %" if 99 < percent < 100 else f"{percent:.0f} %"


def _count(shape: list[int]) -> int:
    count = 1
    for size in shape:
        count *= size
    return count


def _times(shape: list[int]) -> str:
    return " x ".join(map(str, shape)) or "()"


def losses_of(look: Look) -> list[LossPart]:
    """The losses of the update, round by round."""
    return [
        LossPart(
            round=loss.round,
            function=loss.function,
            value=loss.value,
            reduction=loss.reduction,
            factor=loss.factor,
            prediction=loss.prediction,
            target=loss.target,
            right=loss.right,
            of=loss.of,
            line=loss.line,
            operations=loss.operations,
        )
        for loss in look.losses
    ]


def work_out(look: Look, values: dict[str, Any]) -> Worked | None:
    """One output of the first linear layer whose weights are followed, summed up by hand."""
    followed = {parameter.name: parameter for parameter in look.parameters}
    for layer in look.layers:
        if layer.cls != "Linear" or not layer.inputs or not layer.outputs:
            continue
        weight = next((followed[n] for n in layer.parameters if n.endswith("weight") and n in followed), None)
        if weight is None or weight.cell is None or len(layer.inputs[0].shape) != 2:
            continue
        row = values.get(value_key("row", weight.id))
        inputs = values.get(value_key("input", layer.index))
        outputs = values.get(value_key("output", layer.index))
        unit = weight.cell.index[0]
        if row is None or inputs is None or outputs is None or unit >= len(outputs):
            continue
        if not len(row) == len(inputs) == layer.inputs[0].shape[1]:
            continue  # too long to be kept whole
        biases = next((followed[n] for n in layer.parameters if n.endswith("bias") and n in followed), None)
        held = values.get(value_key("row", biases.id)) if biases is not None else None
        bias = float(held[unit]) if held is not None and unit < len(held) else None
        if bias is None and len(layer.parameters) > 1:
            continue
        terms = [(to_number(float(w)), to_number(float(x))) for w, x in zip(row, inputs, strict=True)]
        computed = sum(float(w) * float(x) for w, x in zip(row, inputs, strict=True)) + (bias or 0.0)
        shown = sorted(terms, key=lambda term: -abs(to_float(term[0]) * to_float(term[1])))[:MOST_TERMS]
        return Worked(
            layer=layer.path or layer.cls,
            sample=0,
            unit=unit,
            terms=shown if len(terms) > MOST_TERMS else terms,
            terms_total=len(terms),
            bias=None if bias is None else to_number(bias),
            computed=to_number(computed),
            recorded=to_number(float(outputs[unit])),
        )
    return None
