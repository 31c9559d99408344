"""The events of a run: what happened, in order, each with the line of the user's code.

An event is frozen and small. Objects of the script (models, optimizers, loaders, ...) are
named by short ids (``m1``, ``o1``, ``l1``) that a ``...Seen`` event introduces once. On disk
an event is one line of JSON with its class name in the field ``event``; fields that hold
their default are left out.
"""

from typing import Literal, TypeAlias

import msgspec

from stepscope.record.event import Event, Group, ParameterInfo, Shape
from stepscope.record.facts import DropoutRan, Holder, LayerModes, Origin, Probed, SamplesSeen, StateKept
from stepscope.record.look import Look
from stepscope.record.numbers import Number
from stepscope.record.objects import (
    LoaderMade,
    LoaderSeen,
    LoaderStudied,
    ModelSeen,
    ModelWrapped,
    OptimizerSeen,
    SchedulerSeen,
)

__all__ = [
    "Accuracy",
    "AnyEvent",
    "Backward",
    "BatchFetched",
    "CheckpointMoved",
    "ChildStarted",
    "CompilingStarted",
    "Defect",
    "DropoutRan",
    "Evaluated",
    "Event",
    "GradComputed",
    "GradientsCleared",
    "GradientsClipped",
    "GradientsDisabled",
    "Group",
    "Holder",
    "LayerModes",
    "LoaderMade",
    "LoaderSeen",
    "LoaderStudied",
    "LookTaken",
    "LossComputed",
    "LossTally",
    "ModeChanged",
    "ModelCalled",
    "ModelSeen",
    "ModelWrapped",
    "OptimizerSeen",
    "OptimizerStepped",
    "Origin",
    "ParameterInfo",
    "PassEnded",
    "PassStarted",
    "Probed",
    "RunEnded",
    "SamplesSeen",
    "ScalerUsed",
    "SchedulerSeen",
    "SchedulerStepped",
    "Shape",
    "StateKept",
    "StateMoved",
    "Stretch",
]


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
    the module is one of torch's losses. ``repeated``: it was given the very tensor that it was
    given in its call before, and nothing was trained between. ``wrappers`` are the modules whose
    forward ran in this call and averages gradients over ranks (see :class:`ModelWrapped`). ``modes``,
    ``repeated`` and ``wrappers`` are told by thorough watches only.
    """

    model: str
    grad: bool
    training: bool
    mixed: bool = False
    criterion: bool = False
    failed: bool = False
    inputs: list[Shape] = []
    outputs: list[Shape] = []
    modes: LayerModes | None = None
    repeated: bool = False
    wrappers: list[str] = []


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
    ``stale`` lists parameters onto whose already applied gradient was added; ``altered`` counts
    those of them whose gradient the script itself has changed since that step.

    Told by thorough watches, of what lies on the CPU: ``broken`` counts the parameters whose gradient
    is not finite (``broken_names``: the first of them), and ``origin`` is where that, or a loss that
    is not finite, began, where it could be read. ``kept`` counts the earlier updates whose graph was
    alive when this backward began, ``holder`` is what holds them, once there are many.
    ``rootless``: behind what was backpropagated lay one number that no operation made and that is no
    parameter, nothing else.
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
    altered: int = 0
    scale: Number | None = None
    broken: int = 0
    broken_names: list[str] = []
    origin: Origin | None = None
    kept: int = 0
    holder: Holder | None = None
    rootless: bool = False


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
    """Gradients were clipped by total norm or by value.

    ``fresh``, ``again``: as for a step, of the clipped parameters; told by thorough watches, otherwise -1.
    """

    by: Literal["norm", "value"]
    limit: Number
    total_norm: Number | None = None
    parameters: int = 0
    with_gradient: int = 0
    owners: list[str] = []
    fresh: int = -1
    again: int = -1


class OptimizerStepped(Event, frozen=True, kw_only=True, tag="optimizer-stepped"):
    """An optimizer stepped. ``with_gradient`` of its ``parameters`` had a gradient.

    Of these ``fresh`` had one that came (by backward or by hand) since the last step or clearing,
    and ``again`` the very gradient that a step before this one had applied; the others are zero
    since they were cleared. Both are told by thorough watches, otherwise -1. ``frozen`` counts those
    that require no gradient.
    """

    optimizer: str
    parameters: int
    with_gradient: int
    fresh: int = -1
    again: int = -1
    frozen: int = 0
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
    """A ``state_dict`` was taken from, or loaded into, a model, optimizer, scheduler or scaler.

    Thorough watches tell of what is loaded into a model: how many tensors (``keys``), how many of
    them are the ``own``, live ones of that model, ``since`` how many updates these had been taken
    from it (-1: not known), and where that was. Of what is taken from a model, ``since`` tells for how
    many updates the state that was taken before on this line has been held (-1: it is not).
    """

    action: Literal["taken", "loaded"]
    cls: str
    of: str | None = None
    what: Literal["model", "optimizer", "scheduler", "scaler"] = "model"
    keys: int = 0
    own: int = 0
    since: int = -1
    taken_file: str | None = None
    taken_line: int = 0


class CheckpointMoved(Event, frozen=True, kw_only=True, tag="checkpoint-moved"):
    """``torch.save`` or ``torch.load`` ran.

    Thorough watches tell what the entries of a dict that was loaded are, by its keys: the state of a ``model``,
    ``optimizer``, ``scheduler`` or ``scaler``, or a ``counter``. ``read`` are the keys that the script's source
    reads at all, other than to print them.
    """

    action: Literal["saved", "loaded"]
    path: str | None = None
    contents: dict[str, str] = {}
    read: list[str] = []


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
    | LoaderMade
    | LoaderStudied
    | SamplesSeen
    | ModelCalled
    | ModelWrapped
    | DropoutRan
    | Probed
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
    | StateKept
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
