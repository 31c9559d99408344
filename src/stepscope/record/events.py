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
from stepscope.record.samples import Mark, OwnGenerator


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


class LoaderMade(Event, frozen=True, kw_only=True, tag="loader-made"):
    """A ``DataLoader`` was constructed; told by thorough watches.

    ``data`` and ``part`` are ids as in :class:`LoaderStudied`, ``samples`` the length of its dataset.
    """

    data: str = ""
    part: str = ""
    samples: int | None = None


class LoaderStudied(Event, frozen=True, kw_only=True, tag="loader-studied"):
    """A loader object is iterated for the first time; told by thorough watches.

    ``part`` is the id of its dataset, ``data`` that of the dataset below subsets and wrappers (empty:
    none that could be told apart), ``samples`` how many of its samples the loader hands out, ``cls`` its class. ``order`` is
    the class of the sampler that chooses, ``made_file`` and ``made_line`` where user code made the
    loader. ``shared`` are the random generators that draw the same numbers in each of its
    ``workers`` (in every epoch where there is one worker), ``tried`` says that this was tried out.
    """

    loader: str
    cls: str = ""
    data: str = ""
    part: str = ""
    samples: int | None = None
    order: str = ""
    iterable: bool = False
    made_file: str | None = None
    made_line: int = 0
    workers: int = 0
    persistent: bool = False
    tried: bool = False
    shared: list[OwnGenerator] = []


class SamplesSeen(Event, frozen=True, kw_only=True, tag="samples-seen"):
    """What a batch, a call or a loss was given; told by thorough watches, right after its event.

    ``of`` a batch: ``indices`` are those of the dataset below, where they are whole numbers;
    ``drew`` the random generators that moved while the batch was put together (in this process);
    ``rewrote`` the indices of samples that were stored differently afterwards, ``stored`` where.
    ``of`` a call: ``held`` says whether the script keeps, from call to call, something with as
    many samples as this call was given (None: not asked). ``part`` is the share of a larger
    tensor that the first input is a view of.
    """

    of: Literal["batch", "call", "loss"]
    marks: list[Mark] = []
    indices: list[int] = []
    drew: list[str] = []
    rewrote: list[int] = []
    stored: str = ""
    held: bool | None = None
    part: Number | None = None


class LayerModes(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """How many layers that differ between training and evaluation a called model has, by their mode.

    ``dropouts_on`` and ``dropouts_off`` count layers that drop something in training, ``norms_on``
    and ``norms_off`` those that keep running statistics for evaluation. ``dropped`` counts the
    calls of torch's dropout functions (with p > 0) that dropped something during this very call,
    ``passed`` those that were told to let everything pass.
    """

    dropouts_on: int = 0
    dropouts_off: int = 0
    norms_on: int = 0
    norms_off: int = 0
    dropped: int = 0
    passed: int = 0


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


class ModelWrapped(Event, frozen=True, kw_only=True, tag="model-wrapped"):
    """A model was wrapped so that the gradients of ``parameters`` are averaged over all ranks.

    That happens only for what goes through the wrapper's own forward. Told by thorough watches.
    """

    wrapper: str
    cls: str
    parameters: list[str]


class DropoutRan(Event, frozen=True, kw_only=True, tag="dropout-ran"):
    """A dropout function of torch dropped something although the module around it was in evaluation mode.

    Told by thorough watches, the first few times for each line. ``model`` is the module that user
    code called (None: it called none), ``around`` the class whose mode was ignored, ``rate`` the
    share that is dropped, ``explicit`` whether the line asks for it by ``training=True``.
    """

    function: str
    rate: Number
    around: str
    grad: bool = False
    explicit: bool = False
    model: str | None = None


class Probed(Event, frozen=True, kw_only=True, tag="probed"):
    """A model was run again on copies, with one thing changed: what should not have noticed, and did.

    ``along`` ``samples``: one index of dimension ``dim`` of its inputs was replaced by another one;
    ``time``: the model predicts the next position, and all later positions were replaced.
    ``shape`` is that of the changed input, ``outputs`` that of the first output. Of the
    ``compared`` other indices ``changed`` came out otherwise, by up to ``largest`` times the
    spread of the outputs. ``operation`` and the line are where that first shows. ``repeated``:
    the model was given the very same tensor in the update before.
    """

    model: str
    update: int
    along: Literal["samples", "time"]
    dim: int
    shape: list[int]
    outputs: list[int]
    compared: int
    changed: int
    largest: Number
    integers: bool = False
    repeated: bool = False
    operation: str = ""


class LossComputed(Event, frozen=True, kw_only=True, tag="loss-computed"):
    """One of torch's loss functions was evaluated."""

    function: str
    grad: bool
    value: Number | None = None


class Origin(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The operation that first made something that is not finite.

    ``words`` say what it did (empty: its input came in so, with the batch); ``certain``: the
    operation is not defined there, rather than that numbers have only grown too large.
    """

    operation: str
    words: str = ""
    made_file: str | None = None
    made_line: int = 0
    certain: bool = False


class Holder(msgspec.Struct, frozen=True, omit_defaults=True):
    """What keeps graphs of earlier updates alive, and the line of the script that puts them there."""

    name: str
    made_file: str | None = None
    made_line: int = 0


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
    alive when this backward began, ``holder`` is what holds them, once there are many. ``fresh``: behind
    what was backpropagated lay one number that no operation made and that is no parameter, nothing else.
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
    fresh: bool = False


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


class StateKept(Event, frozen=True, kw_only=True, tag="state-kept"):
    """When the watch ended the script still held a model's state, the live weights themselves, not a copy.

    It had been taken at ``taken_line`` after ``update`` updates, ``since`` more were made, and it was written to no
    file. ``name`` is what the script assigned it to, ``conditional``: under an ``if`` that compares.
    """

    cls: str
    of: str | None = None
    taken_file: str | None = None
    taken_line: int = 0
    update: int = 0
    since: int = 0
    name: str = ""
    conditional: bool = False


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
