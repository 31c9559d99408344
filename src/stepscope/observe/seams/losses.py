"""torch's loss functions, below their Python names: so early imports and modules are seen alike."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from stepscope.observe.seams.base import Seam

if TYPE_CHECKING:
    from types import ModuleType

#: Where the implementation lies -> the name of the function in torch.nn.functional.
_IN_NN = {
    "cross_entropy_loss": "cross_entropy",
    "nll_loss_nd": "nll_loss",
    "mse_loss": "mse_loss",
    "l1_loss": "l1_loss",
    "smooth_l1_loss": "smooth_l1_loss",
    "huber_loss": "huber_loss",
    "binary_cross_entropy": "binary_cross_entropy",
    "soft_margin_loss": "soft_margin_loss",
    "multi_margin_loss": "multi_margin_loss",
    "multilabel_margin_loss": "multilabel_margin_loss",
}
_IN_TORCH = {
    "binary_cross_entropy_with_logits": "binary_cross_entropy_with_logits",
    "kl_div": "kl_div",
    "poisson_nll_loss": "poisson_nll_loss",
    "ctc_loss": "ctc_loss",
    "hinge_embedding_loss": "hinge_embedding_loss",
    "cosine_embedding_loss": "cosine_embedding_loss",
    "margin_ranking_loss": "margin_ranking_loss",
    "triplet_margin_loss": "triplet_margin_loss",
}
_tracing = torch._C._get_tracing_state
#: Where ``ignore_index`` stands among the positional arguments.
_IGNORE_INDEX_AT = 4


def _settings(args: Any, kwargs: Any) -> tuple[Any, ...]:
    """The arguments behind input and target; that of ``kl_div`` is named where it is given."""
    return (*args[2:], kwargs["log_target"]) if "log_target" in kwargs else args[2:]


class LossSeam(Seam):
    """Notes what a loss function was given and what it returned."""

    module = "torch"
    part = "losses"
    inner = True

    def install(self, module: ModuleType) -> None:
        """Wrap the implementations, and step aside while code is scripted."""
        for name, function in _IN_NN.items():
            self.patches.replace(module._C._nn, name, functools.partial(self._make, function))
        for name, function in _IN_TORCH.items():
            self.patches.replace(module, name, functools.partial(self._make, function))
        self.patches.replace(module.jit, "script", self.lifted_while_scripting)
        self.session.on_compile.append(self.remove)

    def _make(self, function: str, original: Any) -> Any:
        has_ignore_index = function in {"cross_entropy", "nll_loss"}

        @functools.wraps(original)
        def loss(*args: Any, **kwargs: Any) -> Any:
            result = original(*args, **kwargs)
            if self.on and isinstance(result, Tensor) and not torch.compiler.is_compiling() and _tracing() is None:
                try:
                    ignored = args[_IGNORE_INDEX_AT] if has_ignore_index and len(args) > _IGNORE_INDEX_AT else -100
                    prediction = args[0] if args else kwargs.get("input")
                    target = args[1] if len(args) > 1 else kwargs.get("target")
                    self.session.loss_called(function, result, prediction, target, ignored, _settings(args, kwargs))
                    if self.session.samples is not None:
                        self.session.samples.loss(target, result)
                except Exception as error:  # noqa: BLE001
                    self.retire(error)
            return result

        return loss
