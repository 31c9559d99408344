"""What a close look at one update saw: the data flow, the loss, the graph, the step.

A look holds numbers, never tensors. Larger values (one whole sample through every layer, the
weight row behind a followed cell) lie in the look's safetensors file under the keys that
:func:`value_key` makes.
"""

from typing import Any, TypeAlias

import msgspec

from stepscope.record.holding import Holding
from stepscope.record.lossfacts import AllPairs, LossFacts, Normalised
from stepscope.record.numbers import Number, Options

#: Nested lists of numbers, as deep as the corner has dimensions (at most two).
Corner: TypeAlias = list[Any] | Number | None


class Summary(msgspec.Struct, frozen=True, omit_defaults=True):
    """A tensor in a few numbers.

    ``std`` is the population's; ``zeros`` the share of exact zeros; ``corner`` real values (at
    most 4 rows and 6 columns of the first matrix). Where ``low`` is None nothing was measured
    (no elements, no numbers, or a kind of tensor that is not looked into). ``sampled`` counts
    the elements that the statistics come from where that is not all of them.
    """

    shape: list[int]
    dtype: str
    name: str = ""
    low: Number | None = None
    high: Number | None = None
    mean: Number | None = None
    std: Number | None = None
    zeros: Number | None = None
    non_finite: int = 0
    corner: Corner = None
    sampled: int = 0


class LayerLook(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One call of one module, in call order.

    ``path`` is the dotted name below the model (empty for the model itself), ``parent`` the
    index of the call that it was made from (-1: from user code), ``options`` the module's own
    words about itself, ``gradient`` what came back to its first output; ``criterion``: it is
    one of torch's loss modules. ``batch_norm``: it normalised by the batch, in this process alone;
    ``tracks``: this call moved its running statistics; ``frozen``: it has parameters of its own
    and none of them is to be trained; ``unrecorded``: it ran under ``no_grad``. ``weight`` is told
    of layers that are frozen and track: the first of these parameters.
    """

    index: int
    round: int
    parent: int
    model: str
    path: str
    cls: str
    training: bool
    options: str = ""
    file: str | None = None
    line: int = 0
    parameters: list[str] = []
    inputs: list[Summary] = []
    outputs: list[Summary] = []
    gradient: Summary | None = None
    criterion: bool = False
    batch_norm: bool = False
    tracks: bool = False
    frozen: bool = False
    unrecorded: bool = False
    weight: Summary | None = None


class LossLook(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The loss of one round, read from the graph behind it.

    ``function`` is None where the graph ends in no loss that is known. ``operations`` lists the
    nodes between the root of backward and that function, root first. ``factor`` is what the
    function's result was multiplied by on the way to the root (0.25 for ``loss / 4``; a loss
    scale is taken out). ``value`` is what was backpropagated, where this was its only loss
    function; ``result`` what the function itself returned, where that is one number.
    ``options`` are its settings that are not the default (``weight`` and ``pos_weight`` are
    True where they were given). ``facts`` is told by thorough watches only.
    """

    round: int
    value: Number | None
    function: str | None = None
    file: str | None = None
    line: int = 0
    reduction: str | None = None
    factor: Number = 1.0
    prediction: Summary | None = None
    target: Summary | None = None
    operations: list[str] = []
    right: int = 0
    of: int = 0
    result: Number | None = None
    options: Options = {}
    facts: LossFacts | None = None


class GraphNode(msgspec.Struct, frozen=True, omit_defaults=True):
    """The autograd nodes that one module call made; ``layer`` -1: made outside any module."""

    layer: int
    operations: list[str]


class GraphLook(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The autograd graph of one round, folded to module calls.

    ``edges`` are pairs of positions in ``nodes``, from loss to input, as backward goes.
    ``reached`` are the parameters that the loss reaches; where the graph is not ``complete``
    (too large, or hidden in a reentrant checkpoint) there may be others.
    """

    round: int
    operations: int
    nodes: list[GraphNode]
    edges: list[tuple[int, int]]
    reached: list[str] = []
    complete: bool = True


class SourceLine(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """An operation that ran on a line of the user's code, with the shapes that went by."""

    file: str
    line: int
    operation: str
    inputs: list[list[int]] = []
    outputs: list[list[int]] = []
    value: Summary | None = None
    count: int = 1


class Cell(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One weight, followed through the step.

    ``index`` is its place in the parameter; ``state_before`` and ``state_after`` hold the
    optimizer's numbers for this very weight.
    """

    index: list[int]
    before: Number
    after: Number | None = None
    gradient: Number | None = None
    state_before: dict[str, Number] = {}
    state_after: dict[str, Number] = {}


class ParameterLook(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What one step did to one parameter. Norms are Euclidean.

    ``ratio`` is the norm of the change over the norm of the weight before; ``unchanged`` the
    share of its elements that the step left as they were, to the bit. The marks are hashes of the
    weight before and after the step and of its gradient, told (not 0) by thorough watches of several
    ranks: equal tensors have equal marks on every rank.
    """

    id: str
    name: str
    optimizer: str | None = None
    group: int = 0
    before: Summary | None = None
    after: Summary | None = None
    gradient: Summary | None = None
    gradient_norm: Number | None = None
    weight_norm: Number | None = None
    update_norm: Number | None = None
    ratio: Number | None = None
    unchanged: Number | None = None
    cell: Cell | None = None
    state: dict[str, Summary] = {}
    mark_before: int = 0
    mark_after: int = 0
    mark_gradient: int = 0


class OptimizerLook(msgspec.Struct, frozen=True, omit_defaults=True):
    """The optimizer at this step: its class and the options of each group.

    ``skipped``: it was told (by a GradScaler, inside a fused step) to do nothing this time.
    """

    id: str
    cls: str
    groups: list[Options]
    skipped: bool = False


class GatheringLook(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What one backward did to the gradients of one optimizer's parameters, in Euclidean norms.

    ``owner`` is empty for parameters that no optimizer holds; one that several hold counts for the
    first. ``before`` is the norm of what the gradients held (0: nothing), ``added`` that of what
    backward added, ``after`` that of both. ``weights`` is the norm of the weights at that moment.
    """

    round: int
    owner: str
    parameters: int
    before: Number
    added: Number
    after: Number
    weights: Number


class Cut(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """An operation on a tensor with gradients whose result has none; told by thorough watches.

    ``parameters`` names what lies behind its input. What became of the result: ``fed``, it went into
    an operation whose result has gradients; ``left``, it (or what was made of it) left torch as a
    plain number or array. ``quiet``: no gradients were being recorded. ``leaf``: this is no cut but
    made one number a leaf that wants a gradient.
    """

    file: str
    line: int
    operation: str
    round: int = 0
    parameters: list[str] = []
    fed: bool = False
    left: bool = False
    quiet: bool = False
    leaf: bool = False


class UnitsLook(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The activations that one line of the user's made in one round; told by thorough watches.

    ``layer`` is the index of the layer that ended before (-1: none), ``rows`` the size of the batch,
    ``elements`` how many numbers there were in all ``calls``. Of a ReLU, ``dead`` of its ``units``
    (features or channels) were zero everywhere, ``lasting`` of them also in the three looks before.
    Of a sigmoid or tanh, ``saturated`` is the share of outputs within 1 % of the range from a limit,
    ``slope`` the mean slope there, 1 being that in the middle; ``inner``: weights follow it on the
    way to the loss, and it is no output of the model.
    """

    file: str
    line: int
    operation: str
    layer: int = -1
    round: int = 0
    calls: int = 1
    rows: int = 0
    elements: int = 0
    units: int = 0
    dead: int = 0
    lasting: int = 0
    saturated: Number | None = None
    slope: Number | None = None
    inner: bool = False


class MovingTarget(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A constant plus a multiple of a network's output, from which the same network's output is subtracted.

    Gradients flow to both sides; ``parameters`` counts those behind both. ``difference`` is the node
    where they meet; the line is that of the addition. Where ``difference`` is a multiplication: a
    constant minus a network's output, which the loss also fits to that constant, multiplies
    something else with gradients; the line is that of the subtraction, ``parameters`` counts those
    behind the output. Told by thorough watches.
    """

    file: str
    line: int
    difference: str
    round: int = 0
    parameters: int = 0


class Look(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """All that a close look at one update saw. ``rounds`` counts those looked into.

    ``gathered`` and ``holding`` are told by thorough watches only. ``seconds`` is what the look
    cost, ``values`` the name of the safetensors file.
    """

    rounds: int = 0
    batch: list[Summary] = []
    layers: list[LayerLook] = []
    layers_left_out: int = 0
    losses: list[LossLook] = []
    graphs: list[GraphLook] = []
    softmaxes: list[Normalised] = []
    pairs: list[AllPairs] = []
    gathered: list[GatheringLook] = []
    parameters: list[ParameterLook] = []
    optimizers: list[OptimizerLook] = []
    lines: list[SourceLine] = []
    cuts: list[Cut] = []
    units: list[UnitsLook] = []
    moving_targets: list[MovingTarget] = []
    values: str | None = None
    holding: Holding | None = None
    seconds: float = 0.0


def value_key(kind: str, index: int | str) -> str:
    """Name a kept tensor.

    Kinds: ``batch`` (by position), ``input``, ``output`` and ``gradient`` (by layer index),
    ``prediction`` and ``target`` (by round), ``row`` (by parameter id: the weight row of the
    followed cell, or the whole of a vector, before the step).
    """
    return f"{kind}/{index}"
