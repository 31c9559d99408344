"""Facts that only a thorough watch tells: for the rules of ``check``."""

from typing import Literal

import msgspec

from stepscope.record.event import Event
from stepscope.record.numbers import Number
from stepscope.record.samples import Mark


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
    ``shape`` is that of the changed input, ``outputs`` that of the first output, ``targets`` those
    of the targets that the losses of this update were given. ``certain``: the targets are the
    input one position later along the other dimension, so that ``dim`` counts samples. Of the
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
    targets: list[list[int]] = []
    certain: bool = False


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
