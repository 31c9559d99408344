"""A close look at one update: forward, loss, graph, gradients, step.

All measuring happens on the tensors' own devices; :meth:`Looking.build` turns readings into
the numbers of a :class:`~stepscope.record.look.Look` once they are here.
"""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
import torch
from torch import Tensor, nn
from torch.nn.modules.loss import _Loss

from stepscope.observe.frames import user_line
from stepscope.observe.gauge import Gauge, Reading, first_tensors, looks_plain
from stepscope.observe.looks import graph
from stepscope.observe.looks.keeping import MOST_OF_A_ROW, MOST_OF_ONE, Kept
from stepscope.observe.looks.operations import Operations, changes_nothing
from stepscope.observe.looks.stepping import StepLook
from stepscope.observe.quiet import Quietly
from stepscope.observe.thorough.census import Census
from stepscope.observe.thorough.flow import Flow
from stepscope.observe.thorough.gradients import Gathering
from stepscope.observe.thorough.losses import Facts, Inputs, normalised, numbers_of, spans_to_layer
from stepscope.observe.thorough.modes import NormState
from stepscope.record.look import GraphLook, LayerLook, Look, LossLook, Summary, value_key
from stepscope.record.numbers import Options, to_number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from stepscope.observe.registry import Registry
    from stepscope.observe.thorough.pairs import Pair
    from stepscope.observe.thorough.units import Memory
    from stepscope.record.look import SourceLine
    from stepscope.record.lossfacts import Normalised

#: Layers of one look; a deeper network is looked into this far, and the rest is counted.
MOST_LAYERS = 2000
#: Rounds of one update that are looked into layer by layer.
MOST_ROUNDS = 4
#: Calls of loss functions of one round that are noted.
MOST_LOSSES = 64
#: What the arguments of torch's loss functions behind input and target are called, and their defaults.
_SETTINGS = {
    "cross_entropy": ("weight", "reduction", "ignore_index", "label_smoothing"),
    "nll_loss": ("weight", "reduction", "ignore_index"),
    "mse_loss": ("reduction",),
    "l1_loss": ("reduction",),
    "smooth_l1_loss": ("reduction", "beta"),
    "huber_loss": ("reduction", "delta"),
    "binary_cross_entropy": ("weight", "reduction"),
    "binary_cross_entropy_with_logits": ("weight", "pos_weight", "reduction"),
    "kl_div": ("reduction", "log_target"),
}
_DEFAULTS = {"ignore_index": -100, "label_smoothing": 0.0, "beta": 1.0, "delta": 1.0, "log_target": False}


@dataclass
class _Call:
    """One call of one module while it is being looked at."""

    index: int
    round: int
    parent: int
    model: str
    path: str
    module_cls: str
    training: bool
    options: str
    place: tuple[str | None, int]
    parameters: list[str]
    criterion: bool
    norm: NormState
    inputs: list[Reading]
    outputs: list[Reading] = field(default_factory=list)
    gradient: Reading | None = None
    start: int = 0
    end: int = 0


@dataclass
class _LossCall:
    """One call of a loss function of torch."""

    function: str
    number: int
    place: tuple[str | None, int]
    reduction: str | None
    options: Options
    result: Reading | None
    prediction: Reading | None
    target: Reading | None
    answers: graph.Answers | None
    facts: Facts | None = None


class Looking:
    """Collects one look. Its methods are called at the boundaries of the update."""

    def __init__(
        self, registry: Registry, cells: dict[str, Tensor], *, thorough: bool = False, dead: Memory | None = None
    ) -> None:
        """Look with the ids of ``registry``; ``cells`` are the weights followed so far.

        ``thorough``: also at what happens between the model and backward; ``dead`` remembers units.
        """
        self._registry = registry
        self.quietly = Quietly()
        self.kept = Kept()
        self.step = StepLook(registry, cells, self.kept)
        self.done = False
        self.failed: Exception | None = None
        self._gauge = Gauge()
        self._round = 0
        self._calls: list[_Call] = []
        self._left_out = 0
        self._open: list[int] = []
        self._paths: dict[int, str] = {}
        self._model = ""
        self._batch: list[Reading] = []
        self._hooks: list[Any] = []
        self._loss_calls: list[_LossCall] = []
        self._losses: list[
            tuple[LossLook, float | Tensor | None, _LossCall | None, Reading | None, Reading | None]
        ] = []
        self._graphs: list[GraphLook] = []
        self._lines: dict[tuple[str, int, str], SourceLine] = {}
        self._flow = Flow(registry, {} if dead is None else dead) if thorough else None
        self.operations = Operations(self._lines, self._flow)
        self._thorough = thorough
        self.step.marks = thorough and torch.distributed.is_available() and torch.distributed.is_initialized()
        self.census = Census(registry) if thorough else None
        self._given = Inputs()
        self._normalised: list[Normalised] = []
        self._pairs: list[tuple[Pair, int, set[int]]] = []
        self.gathering = Gathering(registry) if thorough else None

    # Forward.

    def call_model(
        self, call: Callable[..., Any], module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], model: str
    ) -> Any:
        """Run a module that user code called, noting the operations inside."""
        if self._round >= MOST_ROUNDS:
            return call(module, *args, **kwargs)
        mode: AbstractContextManager[object] = nullcontext()
        with self._safely():
            self._turn_to(module, model)
            if self.census is not None:
                self.census.called(module, model)
            has_parameters = next(module.parameters(), None) is not None
            if has_parameters and self._round == 0 and not self._batch:
                self._batch = [self._gauge.read(t, name) for name, t in first_tensors(*args, **kwargs)]
                for number, (_, tensor) in enumerate(first_tensors(*args, **kwargs)):
                    self.kept.sample(value_key("batch", number), tensor)
            if self._thorough and has_parameters:
                self._given.called(args, kwargs)
            if changes_nothing(module) and not self._hold():
                mode = self.operations
        with mode:
            return self.call_layer(call, module, args, kwargs)

    def called_aside(self, module: nn.Module, model: str) -> None:
        """User code calls ``module`` without gradients: no part of a round, but its layers are seen to run."""
        with self._safely():
            self._turn_to(module, model)

    def _turn_to(self, module: nn.Module, model: str) -> None:
        """User code calls ``module``: the layers that run from now on are parts of it."""
        self._model = model
        self._paths = {id(m): path for path, m in module.named_modules()}
        self._open = []

    def _hold(self) -> bool:
        """Whether operations are listened to until backward begins: each round with a mode of its own."""
        if not self._thorough:
            return False
        if not self.operations.held:
            self.operations = Operations(self._lines, self._flow)
        return self.operations.hold()

    def call_layer(
        self, call: Callable[..., Any], module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Run one module, noting what goes in and what comes out."""
        if len(self._calls) >= MOST_LAYERS or self._round >= MOST_ROUNDS:
            self._left_out += 1
            return call(module, *args, **kwargs)
        layer = None
        with self._safely():
            layer = self._enter(module, args, kwargs)
        if layer is None:
            return call(module, *args, **kwargs)
        layer.start = torch.autograd._get_sequence_nr()  # type: ignore[attr-defined]
        self._open.append(layer.index)
        try:
            result = call(module, *args, **kwargs)
        finally:
            layer.end = torch.autograd._get_sequence_nr()  # type: ignore[attr-defined]
            del self._open[self._open.index(layer.index) :]
        with self._safely():
            self._leave(layer, result)
        return result

    @contextmanager
    def _safely(self) -> Iterator[None]:
        """Around what is ours: a failure of it ends the look, and never reaches the training."""
        with self.quietly:
            try:
                yield
            except Exception as error:  # noqa: BLE001
                self.failed = self.failed or error

    def _enter(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Call:
        if self.census is not None and id(module) not in self._paths:
            self.census.stranger(module)
        entries = (self._registry.entry(p) for p in module.parameters(recurse=False))
        layer = _Call(
            index=len(self._calls),
            round=self._round,
            parent=self._open[-1] if self._open else -1,
            model=self._model,
            path=self._paths.get(id(module), ""),
            module_cls=type(module).__name__,
            training=module.training,
            options=_options(module),
            place=user_line(4),
            parameters=[entry.name for entry in entries if entry is not None],
            criterion=isinstance(module, _Loss),
            norm=NormState(module, recording=self.quietly.recording),
            inputs=[],
        )
        if self._thorough and self.quietly.recording:
            self._given.layer(module, args)
        tensors = first_tensors(*args, **kwargs)
        layer.inputs = [self._gauge.read(tensor, name) for name, tensor in tensors]
        if layer.parameters and tensors:
            # The whole input of a linear layer: its followed sum is worked out on screen.
            most = MOST_OF_A_ROW if isinstance(module, nn.Linear) else MOST_OF_ONE
            self.kept.sample(value_key("input", layer.index), tensors[0][1], most)
        self._calls.append(layer)
        return layer

    def _leave(self, layer: _Call, result: Any) -> None:
        tensors = first_tensors(result)
        if self._flow is not None:
            self._flow.layer_ended(layer.index, layer.path, result if layer.parent < 0 else None)
        layer.outputs = [self._gauge.read(tensor, name) for name, tensor in tensors]
        if not tensors:
            return
        first = tensors[0][1]
        self.kept.sample(value_key("output", layer.index), first)
        if first.requires_grad and first.grad_fn is not None and looks_plain(first):
            torch._C._set_grad_enabled(True)
            self._hooks.append(first.register_hook(partial(self._gradient_came, layer)))
            torch._C._set_grad_enabled(False)

    def _gradient_came(self, layer: _Call, gradient: Tensor) -> None:
        if layer.gradient is not None or self.done:
            return
        quietly = Quietly()  # this may be a thread of the engine
        with quietly:
            try:
                layer.gradient = Reading(gradient)
                self.kept.sample(value_key("gradient", layer.index), gradient)
            except Exception as error:  # noqa: BLE001  # ours, and never the training's
                self.failed = self.failed or error

    # Loss.

    def loss_called(
        self, function: str, result: Any, prediction: Any, target: Any, answers: Any, settings: tuple[Any, ...]
    ) -> None:
        """A loss function of torch returned ``result``; ``settings`` are its further arguments."""
        node = getattr(result, "grad_fn", None)
        if node is None or self._round >= MOST_ROUNDS or len(self._loss_calls) >= MOST_LOSSES:
            return
        number = node._sequence_nr()
        named = dict(zip(_SETTINGS.get(function, ()), settings, strict=False))
        facts = None
        if self._thorough:
            ignored = named.get("ignore_index", -100)
            facts = Facts(function, prediction, target, ignored, self._given, self.operations.place_of)
        self._loss_calls.append(
            _LossCall(
                function=function,
                number=number,
                place=user_line(4),
                reduction=graph.REDUCTIONS.get(named.pop("reduction", -1)),
                options=_loss_options(named),
                result=self._gauge.read(result, "loss") if result.numel() == 1 else None,
                prediction=self._gauge.read(prediction, "prediction") if isinstance(prediction, Tensor) else None,
                target=self._gauge.read(target, "target") if isinstance(target, Tensor) else None,
                answers=answers,
                facts=facts,
            )
        )
        # Which of several calls is the loss is known at backward.
        self.kept.sample(value_key("prediction", f"call-{number}"), prediction)
        self.kept.sample(value_key("target", f"call-{number}"), target)

    def before_backward(self, roots: list[Tensor], value: float | Tensor | None, scale: float | None = None) -> None:
        """Read the loss (without its loss ``scale``) and the graph behind ``roots``."""
        if self.gathering is not None:
            self.gathering.before()
        if self._round >= MOST_ROUNDS:
            return
        nodes = list(dict.fromkeys(t.grad_fn for t in roots if t.grad_fn is not None))
        if self._flow is not None:
            self._flow.before_backward(nodes, self.operations.place_of)
        if nodes:
            self._read_losses(nodes, value, scale)
            spans = [graph.Span(c.start, c.end, c.parent) for c in self._calls]
            look, leaves = graph.fold(nodes, spans, self._round)
            if self.census is not None:
                self.census.reached(leaves)
            names = [e.name for leaf in leaves if (e := self._registry.entry(leaf)) is not None]
            self._graphs.append(msgspec.structs.replace(look, reached=names))
            if self._thorough:
                place_of, layer_of = self.operations.place_of, spans_to_layer(spans)
                self._normalised += normalised(graph.walk(nodes), layer_of, self._round, place_of)
                reached = numbers_of(graph.walk(nodes)) if self.operations.pairs.found else set()
                self._pairs += [(pair, self._round, reached) for pair in self.operations.pairs.found]
                self._given.clear()
        for call in self._loss_calls:
            for kind in ("prediction", "target"):
                self.kept.drop(value_key(kind, f"call-{call.number}"))
        self._loss_calls.clear()
        self._round += 1

    def _read_losses(self, nodes: list[Any], value: float | Tensor | None, scale: float | None) -> None:
        calls = {call.number: call for call in self._loss_calls}
        if scale is not None:  # step over the multiplication by it
            nodes = [child for node in nodes for child, _ in node.next_functions if child is not None]
        found = graph.find_losses(nodes, set(calls))
        if not found:
            look = LossLook(round=self._round, value=None, operations=[graph.name_of(node) for node in nodes])
            self._losses.append((look, value, None, None, None))
        for position, loss in enumerate(found):
            call = calls.get(loss.node._sequence_nr())
            prediction = target = None
            if position == 0 and call is not None:
                for kind in ("prediction", "target"):
                    self.kept.rename(value_key(kind, f"call-{call.number}"), value_key(kind, self._round))
            if call is None:
                prediction = _reading(graph.saved(loss.node, "self"), "prediction")
                target = _reading(graph.saved(loss.node, "target"), "target")
            look = LossLook(
                round=self._round,
                value=None,  # told by build: it may still be on a device
                function=call.function if call else loss.function,
                file=call.place[0] if call else None,
                line=call.place[1] if call else 0,
                reduction=(call.reduction if call else None) or loss.reduction,
                options=call.options if call else {},
                factor=to_number(loss.factor),
                operations=loss.operations,
            )
            self._losses.append((look, value if len(found) == 1 else None, call, prediction, target))

    @property
    def saw_forward(self) -> bool:
        """Whether any layer ran."""
        return bool(self._calls)

    # The whole.

    def release(self) -> None:
        """Let go of the user's graph: it may live on, and must not keep this look alive."""
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()
        self._given.clear()

    def build(self) -> Look:
        """The look, in numbers."""
        self.release()
        return Look(
            rounds=self._round,
            batch=[reading.summary() for reading in self._batch],
            layers=[_layer(call) for call in self._calls],
            layers_left_out=self._left_out,
            losses=[_loss(*parts) for parts in self._losses],
            graphs=self._graphs,
            softmaxes=self._normalised,
            pairs=[pair.told(round_, reached) for pair, round_, reached in self._pairs if pair.number in reached],
            gathered=self.gathering.looks() if self.gathering is not None else [],
            parameters=self.step.parameters(),
            optimizers=self.step.optimizers,
            lines=list(self._lines.values()),
            cuts=self._flow.cuts.told() if self._flow is not None else [],
            units=self._flow.units.told() if self._flow is not None else [],
            moving_targets=self._flow.moving_targets if self._flow is not None else [],
            holding=self.census.told() if self.census is not None else None,
            seconds=self.quietly.seconds,
        )


def _loss_options(named: dict[str, Any]) -> Options:
    """Those settings of a loss function that are not its default; of tensors only that they were given."""
    options: Options = {}
    for name, value in named.items():
        if isinstance(value, Tensor):
            options[name] = True
        elif isinstance(value, (int, float)) and value != _DEFAULTS.get(name):
            options[name] = value
    return options


def _options(module: nn.Module) -> str:
    try:
        return module.extra_repr()[:200]
    except Exception:  # noqa: BLE001  # a user's extra_repr may fail; it is no part of training
        return ""


def _reading(tensor: Any, name: str) -> Reading | None:
    return Reading(tensor, name) if isinstance(tensor, Tensor) else None


def _summary(reading: Reading | None) -> Summary | None:
    return None if reading is None else reading.summary()


def _layer(call: _Call) -> LayerLook:
    return LayerLook(
        index=call.index,
        round=call.round,
        parent=call.parent,
        model=call.model,
        path=call.path,
        cls=call.module_cls,
        training=call.training,
        options=call.options,
        file=call.place[0],
        line=call.place[1],
        parameters=call.parameters,
        criterion=call.criterion,
        batch_norm=call.norm.batch_norm,
        tracks=call.norm.tracks,
        frozen=call.norm.frozen,
        unrecorded=not call.norm.recording,
        weight=_summary(call.norm.weight),
        inputs=[reading.summary() for reading in call.inputs],
        outputs=[reading.summary() for reading in call.outputs],
        gradient=_summary(call.gradient),
    )


def _loss(
    look: LossLook,
    value: float | Tensor | None,
    call: _LossCall | None,
    prediction: Reading | None,
    target: Reading | None,
) -> LossLook:
    answers = call.answers if call else None
    return msgspec.structs.replace(
        look,
        value=None if value is None else to_number(float(value)),
        result=call.result.summary().mean if call and call.result else None,
        prediction=_summary(call.prediction if call else prediction),
        target=_summary(call.target if call else target),
        right=int(answers.right) if answers else 0,
        of=int(answers.of) if answers else 0,
        facts=call.facts.told() if call and call.facts else None,
    )
