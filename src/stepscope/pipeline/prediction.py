"""The prediction trace: one sample through every layer to the prediction, the loss, and back."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from stepscope.pipeline.document import PredictionStep, PredictionTrace
from stepscope.record.look import value_key
from stepscope.record.numbers import to_number

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stepscope.record.look import LayerLook, Look, LossLook

#: Values shown of the sample at each place.
MOST_VALUES = 10


def trace_prediction(look: Look, values: dict[str, Any]) -> PredictionTrace | None:
    """Follow sample 0 of the first round; None where its values were not kept."""
    steps = []
    batch = values.get(value_key("batch", 0))
    if look.batch and batch is not None:
        steps.append(_step(look.batch[0].name or "input", look.batch[0].shape, batch))
    layers = [layer for layer in look.layers if layer.round == 0 and not _is_loss(layer, look)]
    for layer in _leaves(layers):
        held = values.get(value_key("output", layer.index))
        if held is not None and layer.outputs:
            steps.append(_step(_name(layer), layer.outputs[0].shape, held))
    if not steps:
        return None
    loss = next((one for one in look.losses if one.round == 0), None)
    end = _end(loss, values) if loss is not None else {}
    back = [
        _step(_name(layer), layer.gradient.shape, held, "gradient")
        for layer in reversed(_leaves(layers))
        if layer.gradient is not None and (held := values.get(value_key("gradient", layer.index))) is not None
    ]
    return PredictionTrace(sample=0, steps=steps, back=back, **end)


def _is_loss(layer: LayerLook, look: Look) -> bool:
    return any(loss.line == layer.line and loss.file == layer.file for loss in look.losses) and not layer.parameters


def _leaves(layers: list[LayerLook]) -> list[LayerLook]:
    parents = {layer.parent for layer in layers}
    return [layer for layer in layers if layer.index not in parents]


def _name(layer: LayerLook) -> str:
    return f"{layer.path} ({layer.cls})" if layer.path else layer.cls


def _step(name: str, shape: list[int], held: Iterable[Any], note: str = "") -> PredictionStep:
    shown = [to_number(float(value)) for value in list(held)[:MOST_VALUES]]
    return PredictionStep(name=name, shape=shape[1:] if len(shape) > 1 else shape, values=shown, note=note)


def _end(loss: LossLook, values: dict[str, Any]) -> dict[str, Any]:
    """What was predicted, what was wanted, and what this sample's share of the loss is."""
    scores, target = values.get(value_key("prediction", 0)), values.get(value_key("target", 0))
    if scores is None or target is None or loss.prediction is None or loss.target is None:
        return {}
    if loss.function in {"cross_entropy", "nll_loss"}:
        return _classes(loss, [float(s) for s in scores], target)
    if loss.function == "mse_loss" and len(scores) == len(target) and len(loss.prediction.shape) <= 2:
        pairs = list(zip(scores, target, strict=True))
        error = sum((float(p) - float(t)) ** 2 for p, t in pairs) / len(pairs)
        if len(pairs) != 1:
            return {}
        return {
            "predicted": f"{float(scores[0]):.6g}",
            "target": f"{float(target[0]):.6g}",
            "loss": to_number(error),
            "loss_text": f"({float(scores[0]):.6g} - {float(target[0]):.6g})^2 = {error:.6g}",
        }
    return {}


def _classes(loss: LossLook, scores: list[float], target: Any) -> dict[str, Any]:
    """Softmax and cross-entropy of one sample, from its scores."""
    assert loss.prediction is not None
    assert loss.target is not None
    whole = len(loss.prediction.shape) == 2 and len(scores) == loss.prediction.shape[1]
    if not whole or len(loss.target.shape) != 1 or not all(math.isfinite(score) for score in scores):
        return {}
    wanted = int(target[0])
    largest = max(scores)
    weights = [math.exp(score - largest) for score in scores]
    shares = [weight / sum(weights) for weight in weights]
    predicted = shares.index(max(shares))
    end: dict[str, Any] = {
        "probabilities": [to_number(share) for share in shares[:MOST_VALUES]],
        "predicted": f"class {predicted} ({100 * shares[predicted]:.1f} %)",
        "target": f"class {wanted}",
    }
    if 0 <= wanted < len(shares) and loss.function == "cross_entropy":
        share = shares[wanted]
        value = math.inf if share == 0.0 else -math.log(share)
        end["loss"] = to_number(value)
        end["loss_text"] = f"-ln({share:.4g}) = {value:.4g}"
    return end
