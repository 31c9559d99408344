"""The events of a run: what happened, in order, each with the line of the user's code.

An event is frozen and small. Objects of the script (models, optimizers, loaders, ...) are
named by short ids (``m1``, ``o1``, ``l1``) that a ``...Seen`` event introduces once. On disk
an event is one line of JSON with its class name in the field ``event``; fields that hold
their default are left out.
"""

from typing import Literal, TypeAlias

import msgspec

from stepscope.record.look import Look
from stepscope.record.numbers import Number, Options


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="event"):
    """What all events share.

    ``at`` is in seconds since the run began; ``file`` and ``line`` are the user's own;
    ``within`` says whether it happened inside an optimizer's step or inside a backward.
    """

    at: float = 0.0
    rank: int = 0
    thread: int = 0
    file: str | None = None
    line: int = 0
    within: Literal["", "step", "backward"] = ""


class ParameterInfo(msgspec.Struct, frozen=True, omit_defaults=True):
    """A parameter as it was when first seen."""

    id: str
    name: str
    shape: list[int]
    dtype: str
    device: str
    requires_grad: bool = True


class Shape(msgspec.Struct, frozen=True, omit_defaults=True):
    """Name (a keyword, a position), shape and dtype of one tensor that went by."""

    name: str
    shape: list[int]
    dtype: str


class ModelSeen(Event, frozen=True, kw_only=True, tag="model-seen"):
    """A module that user code called directly was seen for the first time."""

    id: str
    name: str
    cls: str
    modules: int
    parameters: list[ParameterInfo] = []


class Group(msgspec.Struct, frozen=True, omit_defaults=True):
    """A parameter group: the ids of its parameters and its hyper-parameters."""

    parameters: list[str]
    options: Options = {}


class OptimizerSeen(Event, frozen=True, kw_only=True, tag="optimizer-seen"):
    """An optimizer was made, or seen for the first time; again when it holds more parameters."""

    id: str
    name: str
    cls: str
    groups: list[Group]
    parameters: list[ParameterInfo] = []
    made: bool = False


class SchedulerSeen(Event, frozen=True, kw_only=True, tag="scheduler-seen"):
    """A learning-rate scheduler was made, or seen for the first time."""

    id: str
    cls: str
    optimizer: str | None = None
    options: Options = {}
    made: bool = False


class LoaderSeen(Event, frozen=True, kw_only=True, tag="loader-seen"):
    """A ``DataLoader`` was iterated for the first time."""

    id: str
    dataset: str
    sampler: str
    batch_size: int | None = None
    batches: int | None = None
    samples: int | None = None
    workers: int = 0


class PassStarted(Event, frozen=True, kw_only=True, tag="pass-started"):
    """A pass over a loader began; ``number`` counts the passes over this loader from 1."""

    loader: str
    number: int


class PassEnded(Event, frozen=True, kw_only=True, tag="pass-ended"):
    """A loader ran out of batches."""

    loader: str
    number: int
    batches: int


class BatchFetched(Event, frozen=True, kw_only=True, tag="batch-fetched"):
    """A loader handed out a batch; ``index`` counts within the pass from 0."""

    loader: str
    index: int
    tensors: list[Shape] = []


class ModelCalled(Event, frozen=True, kw_only=True, tag="model-called"):
    """User code called a module. ``grad`` says whether gradients were recorded.

    ``mixed`` is set where some layers were in the other mode than the root, ``criterion`` where
    the module is one of torch's losses.
    """

    model: str
    grad: bool
    training: bool
    mixed: bool = False
    criterion: bool = False
    failed: bool = False
    inputs: list[Shape] = []
    outputs: list[Shape] = []


class LossComputed(Event, frozen=True, kw_only=True, tag="loss-computed"):
    """One of torch's loss functions was evaluated."""

    function: str
    grad: bool
    value: Number | None = None


class Backward(Event, frozen=True, kw_only=True, tag="backward"):
    """Gradients were accumulated into leaves.

    ``value`` is what was backpropagated (None where it is no single number), with a loss
    scale taken out. ``owners`` are the optimizers whose parameters received a gradient,
    ``filled`` counts those parameters, ``unowned`` the filled ones that no optimizer holds.
    ``stale`` lists parameters onto whose already applied gradient was added.
    """

    value: Number | None = None
    shape: list[int] = []
    leaf: bool = False
    inputs: bool = False
    retain_graph: bool = False
    create_graph: bool = False
    failed: bool = False
    owners: list[str] = []
    filled: int = 0
    unowned: int = 0
    stale: list[str] = []
    scale: Number | None = None


class GradComputed(Event, frozen=True, kw_only=True, tag="grad-computed"):
    """``autograd.grad`` returned gradients; ``parameters`` counts leaf inputs that require grad.

    ``owners`` are the optimizers that hold those leaves.
    """

    inputs: int
    parameters: int = 0
    owners: list[str] = []
    value: Number | None = None
    create_graph: bool = False
    failed: bool = False


class GradientsCleared(Event, frozen=True, kw_only=True, tag="gradients-cleared"):
    """Gradients were cleared.

    ``by`` is ``optimizer`` or ``module`` for ``zero_grad``; ``assignment`` (``p.grad = None``)
    and ``zero`` (in-place) have no line of their own: they are noticed at the next backward
    or step.
    """

    by: Literal["optimizer", "module", "assignment", "zero"]
    owners: list[str] = []
    parameters: int = 0
    model: str | None = None


class GradientsClipped(Event, frozen=True, kw_only=True, tag="gradients-clipped"):
    """Gradients were clipped by total norm or by value."""

    by: Literal["norm", "value"]
    limit: Number
    total_norm: Number | None = None
    parameters: int = 0
    with_gradient: int = 0
    owners: list[str] = []


class OptimizerStepped(Event, frozen=True, kw_only=True, tag="optimizer-stepped"):
    """An optimizer stepped. ``with_gradient`` of its ``parameters`` had a gradient."""

    optimizer: str
    parameters: int
    with_gradient: int
    rates: list[Number] = []
    closure: bool = False


class ScalerUsed(Event, frozen=True, kw_only=True, tag="scaler-used"):
    """A ``GradScaler`` scaled a loss, unscaled gradients, stepped or updated its scale."""

    action: Literal["scale", "unscale", "step", "skip", "update"]
    optimizer: str | None = None
    scale: Number | None = None


class SchedulerStepped(Event, frozen=True, kw_only=True, tag="scheduler-stepped"):
    """A scheduler stepped; ``rates`` are its optimizer's learning rates afterwards."""

    scheduler: str
    rates: list[Number] = []


class ModeChanged(Event, frozen=True, kw_only=True, tag="mode-changed"):
    """``train()`` or ``eval()`` was called on a module."""

    training: bool
    cls: str
    model: str | None = None


class GradientsDisabled(Event, frozen=True, kw_only=True, tag="gradients-disabled"):
    """User code entered ``no_grad`` or ``inference_mode``."""

    by: Literal["no_grad", "inference_mode"]


class StateMoved(Event, frozen=True, kw_only=True, tag="state-moved"):
    """A ``state_dict`` was taken from, or loaded into, a model, optimizer or scheduler."""

    action: Literal["taken", "loaded"]
    cls: str
    of: str | None = None


class CheckpointMoved(Event, frozen=True, kw_only=True, tag="checkpoint-moved"):
    """``torch.save`` or ``torch.load`` ran."""

    action: Literal["saved", "loaded"]
    path: str | None = None


class CompilingStarted(Event, frozen=True, kw_only=True, tag="compiling-started"):
    """``torch.compile`` began to compile: from here on only boundaries are noted."""


class ChildStarted(Event, frozen=True, kw_only=True, tag="child-started"):
    """A child process was started; it is not watched."""

    name: str


class LossTally(msgspec.Struct, frozen=True, omit_defaults=True):
    """Many losses in a few numbers. ``points`` are ``[offset, loss]``, evenly thinned."""

    updates: int
    known: int = 0
    mean: Number | None = None
    low: Number | None = None
    high: Number | None = None
    last: Number | None = None
    non_finite: int = 0
    right: int = 0
    of: int = 0
    judged: int = 0
    points: list[tuple[int, Number]] = []


class Stretch(Event, frozen=True, kw_only=True, tag="stretch"):
    """Updates that went like earlier ones, told together.

    ``tallies`` is keyed by the optimizer that stepped (``manual`` where none did), ``passes``
    gives for each loader the first and last pass that the stretch belongs to.
    """

    updates: int
    seconds: float = 0.0
    tallies: dict[str, LossTally] = {}
    passes: dict[str, tuple[int, int]] = {}


class Evaluated(Event, frozen=True, kw_only=True, tag="evaluated"):
    """Losses that were computed without gradients, told together.

    ``batches`` counts what the pass over ``loader`` has fetched until then. In a regular loop it
    may be all that is known of an evaluation: then there are no ``losses``.
    """

    losses: int = 0
    function: str = ""
    loader: str | None = None
    number: int = 0
    batches: int = 0
    mean: Number | None = None
    samples: int = 0
    right: int = 0
    of: int = 0


class LookTaken(Event, frozen=True, kw_only=True, tag="look-taken"):
    """Update number ``update`` of this thread was looked at closely."""

    update: int
    look: Look


class Accuracy(Event, frozen=True, kw_only=True, tag="accuracy"):
    """How many of the targets of the last backward the model had right."""

    right: int
    of: int


class Defect(Event, frozen=True, kw_only=True, tag="defect"):
    """Something of stepscope's own failed; that part no longer observes."""

    part: str
    message: str


class RunEnded(Event, frozen=True, kw_only=True, tag="run-ended"):
    """The script, or the ``with`` block, ended.

    ``left_out`` counts events that were not noted because very many came without an update.
    """

    reason: Literal["finished", "exception", "interrupted", "exit", "stopped"]
    message: str = ""
    updates: int = 0
    left_out: int = 0


AnyEvent: TypeAlias = (
    ModelSeen
    | OptimizerSeen
    | SchedulerSeen
    | LoaderSeen
    | PassStarted
    | PassEnded
    | BatchFetched
    | ModelCalled
    | LossComputed
    | Backward
    | GradComputed
    | GradientsCleared
    | GradientsClipped
    | OptimizerStepped
    | ScalerUsed
    | SchedulerStepped
    | ModeChanged
    | GradientsDisabled
    | StateMoved
    | CheckpointMoved
    | CompilingStarted
    | ChildStarted
    | Stretch
    | Evaluated
    | LookTaken
    | Accuracy
    | Defect
    | RunEnded
)
