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
#: How far the sum of shares may be from 1 (bfloat16 is coarse).
_ROUNDING = 0.02


def trace_prediction(look: Look, values: dict[str, Any]) -> PredictionTrace | None:
    """Follow sample 0 of the first round; None where its values were not kept."""
    steps = []
    batch = values.get(value_key("batch", 0))
    if look.batch and batch is not None:
        steps.append(_step(look.batch[0].name or "input", look.batch[0].shape, batch))
    layers = [layer for layer in look.layers if layer.round == 0 and not layer.criterion]
    for layer in _leaves(layers):
        held = values.get(value_key("output", layer.index))
        if held is not None and layer.outputs:
            steps.append(_step(_name(layer), layer.outputs[0].shape, held))
    if not steps:
        return None
    loss = next((one for one in look.losses if one.round == 0), None)
    end = _end(loss, values, look) if loss is not None else {}
    back = [
        _step(_name(layer), layer.gradient.shape, held, "gradient")
        for layer in reversed(_leaves(layers))
        if layer.gradient is not None and (held := values.get(value_key("gradient", layer.index))) is not None
    ]
    return PredictionTrace(sample=0, steps=steps, back=back, **end)


def _leaves(layers: list[LayerLook]) -> list[LayerLook]:
    parents = {layer.parent for layer in layers}
    return [layer for layer in layers if layer.index not in parents]


def _name(layer: LayerLook) -> str:
    return f"{layer.path} ({layer.cls})" if layer.path else layer.cls


def _step(name: str, shape: list[int], held: Iterable[Any], note: str = "") -> PredictionStep:
    shown = [to_number(float(value)) for value in list(held)[:MOST_VALUES]]
    return PredictionStep(name=name, shape=shape[1:] if len(shape) > 1 else shape, values=shown, note=note)


def _end(loss: LossLook, values: dict[str, Any], look: Look) -> dict[str, Any]:
    """What was predicted, what was wanted, and what this sample's share of the loss is."""
    scores, target = values.get(value_key("prediction", 0)), values.get(value_key("target", 0))
    if scores is None or target is None or loss.prediction is None or loss.target is None:
        return {}
    if loss.function in {"cross_entropy", "nll_loss"}:
        return _classes(loss, [float(s) for s in scores], target)
    if loss.function in _ONE_NUMBER and _is_one_number(loss.prediction.shape, loss.target.shape, look):
        return _one_number(loss, float(scores[0]), float(target[0]))
    return {}


_ONE_NUMBER = {"mse_loss", "l1_loss", "binary_cross_entropy", "binary_cross_entropy_with_logits"}


def _is_one_number(prediction: list[int], target: list[int], look: Look) -> bool:
    """Whether each sample has one prediction and one target."""
    samples = look.batch[0].shape[:1] if look.batch else [1]
    return prediction == target and prediction in (samples, [*samples, 1])


def _one_number(loss: LossLook, predicted: float, target: float) -> dict[str, Any]:
    """A regression, or a yes or no: its share of the loss from one prediction."""
    end: dict[str, Any] = {"predicted": f"{predicted:.6g}", "target": f"{target:.6g}"}
    if loss.options or not math.isfinite(predicted) or not math.isfinite(target):
        return end
    if loss.function == "mse_loss":
        value = (predicted - target) ** 2
        text = f"({predicted:.6g} - {target:.6g})^2 = {value:.6g}"
    elif loss.function == "l1_loss":
        value = abs(predicted - target)
        text = f"|{predicted:.6g} - {target:.6g}| = {value:.6g}"
    else:
        logits = loss.function == "binary_cross_entropy_with_logits"
        share = 1.0 / (1.0 + math.exp(-max(predicted, -700.0))) if logits else predicted
        end["predicted"] = f"{100 * share:.1f} % yes"
        if target not in {0.0, 1.0}:
            return end
        right = share if target else 1.0 - share
        value = -math.log(right) if right > 0 else math.inf
        text = f"-ln({right:.4g}) = {value:.4g}"
    return {**end, "loss": to_number(value), "loss_text": text}


def _classes(loss: LossLook, scores: list[float], target: Any) -> dict[str, Any]:
    """Softmax and cross-entropy of one sample, from its scores (of ``nll_loss``: its logarithms)."""
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
    end: dict[str, Any] = {"target": f"class {wanted}"}
    if loss.function == "nll_loss" and abs(largest + math.log(sum(weights))) > _ROUNDING:
        return {**end, "predicted": f"class {predicted}"}  # not the logarithms of shares that sum to 1
    end["probabilities"] = [to_number(share) for share in shares[:MOST_VALUES]]
    end["predicted"] = f"class {predicted} ({100 * shares[predicted]:.1f} %)"
    if wanted == loss.options.get("ignore_index", -100):
        end["target"] += " (ignored by this loss)"
    elif loss.options.get("weight") or loss.options.get("label_smoothing"):
        end["loss_text"] = "class weights or label smoothing: its share of the loss is not worked out"
    elif 0 <= wanted < len(shares):
        share = shares[wanted]
        value = math.inf if share == 0.0 else -math.log(share)
        end["loss"] = to_number(value)
        end["loss_text"] = f"-ln({share:.4g}) = {value:.4g}"
    return end
