"""The trace document: what one update did, and how the training went, in the run's own numbers.

It is plain data: every renderer lowers the same document, and JSON is the document itself.
"""

from __future__ import annotations

import msgspec

from stepscope.record.look import Summary
from stepscope.record.numbers import Number


class Stage(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One layer of the data flow: shape before and after, what it did, sample values."""

    layer: int
    depth: int
    name: str
    cls: str
    options: str = ""
    did: str = ""
    before: list[list[int]] = []
    after: list[list[int]] = []
    output: Summary | None = None
    gradient: Summary | None = None
    parameters: list[str] = []
    line: int = 0
    file: str | None = None


class Worked(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One output of a linear layer, worked out from its weights and inputs."""

    layer: str
    sample: int
    unit: int
    terms: list[tuple[Number, Number]]
    terms_total: int
    bias: Number | None
    computed: Number
    recorded: Number


class LossPart(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The loss: its function, what went in, what came out."""

    round: int
    function: str | None
    value: Number | None
    reduction: str | None = None
    factor: Number = 1.0
    prediction: Summary | None = None
    target: Summary | None = None
    right: int = 0
    of: int = 0
    line: int = 0
    operations: list[str] = []


class Moved(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What the step did to one parameter."""

    name: str
    shape: list[int]
    before: Summary | None = None
    gradient: Summary | None = None
    after: Summary | None = None
    gradient_norm: Number | None = None
    weight_norm: Number | None = None
    update_norm: Number | None = None
    ratio: Number | None = None


class Arithmetic(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The step of one weight, re-derived from recorded numbers.

    ``lines`` are the formula in this run's numbers. ``agrees`` is None where nothing was
    re-derived; ``why`` then says why.
    """

    parameter: str
    index: list[int]
    optimizer: str
    before: Number
    gradient: Number | None
    after: Number | None
    formula: str = ""
    lines: list[str] = []
    computed: Number | None = None
    difference: Number | None = None
    agrees: bool | None = None
    why: str = ""


class EpochRow(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A row of the training trace. ``judged`` of ``updates`` had their targets compared.

    ``loss`` is the mean of the ``known`` finite losses; ``non_finite`` more were not finite.
    """

    name: str
    first_update: int
    last_update: int
    updates: int
    loss: Number | None = None
    known: int = 0
    non_finite: int = 0
    losses: dict[str, Number] = {}
    accuracy: float | None = None
    judged: int = 0
    evaluation_loss: Number | None = None
    evaluation_accuracy: float | None = None
    observation: str = ""


class Curve(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A line of the chart: ``points`` are ``(update, value)``."""

    name: str
    points: list[tuple[float, Number]]


class PredictionStep(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The followed sample at one place on its way."""

    name: str
    shape: list[int]
    values: list[Number]
    note: str = ""


class PredictionTrace(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One sample through every layer to the prediction, the loss, and back."""

    sample: int
    steps: list[PredictionStep]
    probabilities: list[Number] = []
    predicted: str = ""
    target: str = ""
    loss: Number | None = None
    loss_text: str = ""
    back: list[PredictionStep] = []


class UpdateTrace(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One update, looked at closely."""

    number: int
    kind: str
    owners: list[str]
    rounds: int
    loss: Number | None
    order: list[str]
    batch: list[Summary] = []
    stages: list[Stage] = []
    stages_left_out: int = 0
    worked: Worked | None = None
    losses: list[LossPart] = []
    graph: str = ""
    moved: list[Moved] = []
    arithmetic: list[Arithmetic] = []
    prediction: PredictionTrace | None = None
    look_seconds: float = 0.0


class Source(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A line of the user's code that ran in this update, with what passed through it."""

    file: str
    line: int
    text: str
    notes: list[str]


class Document(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The whole trace of a run. ``schema`` is raised with every change that a reader would misread."""

    schema: int
    title: str
    record: str
    command: str = ""
    started: float = 0.0
    versions: str = ""
    models: list[str] = []
    optimizers: list[str] = []
    updates: int = 0
    update: UpdateTrace | None = None
    source: list[Source] = []
    epochs: list[EpochRow] = []
    epochs_are: str = ""
    curves: list[Curve] = []
    notes: list[str] = []
