"""What a loss was given: rows that sum to 1, a softmax behind them, targets that went in, padding.

Collected only in the close looks of a thorough watch (``stepscope check``).
"""

import msgspec

from stepscope.record.numbers import Number


class Rows(msgspec.Struct, frozen=True, omit_defaults=True):
    """The sums over dimension ``dim`` (of ``size`` elements): the lowest and the highest of them.

    ``exp_low`` and ``exp_high`` are those of the sums of the exponentials: 1 where the tensor
    holds log-probabilities.
    """

    dim: int
    size: int
    low: Number
    high: Number
    exp_low: Number
    exp_high: Number


class Behind(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """An autograd node that made a tensor, and the user's line that it comes from (None: unknown).

    ``shape`` is that of its result, ``dim`` the dimension of a softmax or of a sum of exponentials.
    """

    operation: str
    shape: list[int] = []
    dim: int | None = None
    file: str | None = None
    line: int = 0


class Padding(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Rows of an integer input of the model that end in the same ``id``, and the targets there.

    ``share`` of all positions lie in such ends; ``inside`` is the share of positions that hold
    ``id`` elsewhere. The runs are from ``shortest`` to ``longest`` positions long. The targets
    there run from ``low`` to ``high``; ``counted`` is the share of them that the loss counts.
    ``declared``: an embedding that was given the input has ``id`` as its ``padding_idx``.
    """

    id: int
    share: Number
    inside: Number
    shortest: int
    longest: int
    low: Number
    high: Number
    counted: Number
    declared: bool = False


class LossFacts(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What is known of the prediction and the target of one loss function.

    ``rows`` and ``target_rows`` are given over each dimension that may hold classes. ``behind`` is
    the chain of nodes behind the prediction, nearest first, without those that only view, cast,
    clone or pick; ``reordered`` says that dimensions were exchanged before the first of them,
    ``clamped`` that it was clamped, ``shapes`` are those on the way, nearest first.
    ``given`` and ``target_given`` are the shapes before torch expanded them to each other.
    ``varies`` is the widest range that an output has over the batch, ``target_varies`` and
    ``input_varies`` those of the target and of the widest input. ``copied`` is the share of targets
    that equal an integer input of an embedding at the same position, ``shifted`` the share that
    equal the next one.
    """

    rows: list[Rows] = []
    target_rows: list[Rows] = []
    behind: list[Behind] = []
    target_behind: list[Behind] = []
    reordered: bool = False
    clamped: bool = False
    shapes: list[list[int]] = []
    prediction_grad: bool = False
    target_grad: bool = False
    given: list[int] = []
    target_given: list[int] = []
    varies: Number | None = None
    target_varies: Number | None = None
    input_varies: Number | None = None
    copied: Number | None = None
    shifted: Number | None = None
    padding: Padding | None = None


class Normalised(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A softmax (or log-softmax) in the graph of a round; ``layer``: the module call that ran it (-1: none).

    ``causal``: it is an attention in which no position sees a later one. ``behind`` is what it normalised.
    """

    round: int
    operation: str
    shape: list[int]
    dim: int | None = None
    layer: int = -1
    file: str | None = None
    line: int = 0
    causal: bool = False
    behind: Behind | None = None
    count: int = 1


class AllPairs(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """An operation on a column ``(N, 1)`` and a row ``(N,)`` that gave all N x N pairs, and that the loss reaches.

    ``paired``: it looks deliberate (the column is the very row with a dimension added, or the
    result met another N x N tensor). ``bent``: something that is not linear was done with the
    pairs before they were reduced (``by`` says what); otherwise a mean over them is what it would be without the pairs.
    ``row_mean`` tells whether the row is a constant of the model.
    """

    round: int
    operation: str
    column: list[int]
    row: list[int]
    file: str | None = None
    line: int = 0
    paired: bool = False
    bent: bool = False
    by: str = ""
    summed: bool = False
    row_mean: Number | None = None
