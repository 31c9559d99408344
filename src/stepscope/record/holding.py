"""Who holds the parameters that a loss reaches, and which of them can train, as of one close look."""

from typing import Literal

import msgspec


class Loose(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A parameter that the loss reaches and that no optimizer holds.

    ``held`` tells who does: a ``model`` (``root`` is its class, ``path`` the dotted name in it); a
    plain ``container`` of a model (``attribute`` of a module of class ``root``), where torch does not
    see it; a layer that ``root``'s forward called without having it (``called``); or ``nobody`` that
    is known. ``layer`` is the class of the outermost layer that holds it, ``file`` and ``line`` where
    that layer was made. ``fresh``: it still has its first, random values (nothing trained or loaded
    it). ``moved``: something else than an optimizer of torch has changed it since the look before
    (None: there was none). ``training`` is the mode of its layer.
    """

    id: str
    name: str
    elements: int
    held: Literal["model", "container", "called", "nobody"]
    root: str = ""
    path: str = ""
    attribute: str = ""
    layer: str = ""
    fresh: bool = False
    moved: bool | None = None
    training: bool = True
    file: str | None = None
    line: int = 0


class Orphan(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A parameter that an optimizer holds and that its model does no longer hold.

    ``path`` is where in the model (of class ``root``) it was; ``successor`` the id of the parameter
    that is there now, or of the first one below the layer that was put there (None: nothing is).
    ``unheld``: no optimizer holds that one, and the loss reaches it. ``file`` and ``line`` tell where
    the new layer was made (None: it is the old layer with a new parameter).
    """

    id: str
    optimizer: str
    root: str
    path: str
    successor: str | None = None
    unheld: bool = False
    file: str | None = None
    line: int = 0


class ModelState(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Which parameters of a model that user code called can train.

    ``elements`` counts all its numbers, ``trainable`` those that require grad; ``learning`` are the ids of the
    parameters that do, ``frozen`` of those that do not, ``fresh`` of the frozen ones that still have their
    first, random values.
    """

    model: str
    elements: int
    trainable: int
    learning: list[str] = []
    frozen: list[str] = []
    fresh: list[str] = []


class Misspelt(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """An attribute that was set to switch gradients on or off, and does nothing.

    It was set to ``value`` on a ``module`` (torch looks at parameters only), or under a wrong name
    on a ``parameter``. ``cls`` is the module's class, ``path`` its dotted name (or the parameter's);
    ``parameters`` are the ids of those that it was meant for, ``learning`` of those among them that
    require grad all the same.
    ``file`` and ``line``: the statement that does it, where there is just one that may; ``own``: it is
    the class's own, on ``self``.
    """

    attribute: str
    value: bool
    on: Literal["module", "parameter"]
    cls: str
    path: str
    parameters: list[str]
    learning: list[str]
    own: bool = False
    file: str | None = None
    line: int = 0


class Switch(msgspec.Struct, frozen=True, omit_defaults=True):
    """A statement in the script that freezes parameters."""

    file: str
    line: int


class Twins(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Two names that a statement brings in line with each other, and that have the same parameters in the same memory.

    ``one``: both are the same module; otherwise two that share all ``parameters``. ``file`` and ``line``: where
    one name was made to be the other (``bound``), else the statement.
    """

    first: str
    second: str
    cls: str
    one: bool
    bound: bool
    parameters: int
    file: str
    line: int


class Holding(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What a thorough watch finds out about parameters when backward begins in a close look."""

    loose: list[Loose] = []
    orphans: list[Orphan] = []
    models: list[ModelState] = []
    misspelt: list[Misspelt] = []
    switches: list[Switch] = []
    twins: list[Twins] = []
