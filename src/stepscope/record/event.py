"""What all events share, and the small structs that several of them hold."""

from typing import Literal

import msgspec

from stepscope.record.numbers import Options


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


class Group(msgspec.Struct, frozen=True, omit_defaults=True):
    """A parameter group: the ids of its parameters and its hyper-parameters."""

    parameters: list[str]
    options: Options = {}
