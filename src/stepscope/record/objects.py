"""The objects of a script, told when they are first seen: models, optimizers, schedulers, loaders."""

from stepscope.record.event import Event, Group, ParameterInfo
from stepscope.record.numbers import Options
from stepscope.record.samples import OwnGenerator


class ModelSeen(Event, frozen=True, kw_only=True, tag="model-seen"):
    """A module that user code called directly was seen for the first time."""

    id: str
    name: str
    cls: str
    modules: int
    parameters: list[ParameterInfo] = []


class ModelWrapped(Event, frozen=True, kw_only=True, tag="model-wrapped"):
    """A model was wrapped so that the gradients of ``parameters`` are averaged over all ranks.

    That happens only for what goes through the wrapper's own forward. Told by thorough watches.
    """

    wrapper: str
    cls: str
    parameters: list[str]


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
    none that could be told apart), ``samples`` how many of its samples the loader hands out, ``cls``
    its class. ``order`` is the class of the sampler that chooses, ``made_file`` and ``made_line``
    where user code made the loader. ``shared`` are the random generators that draw the same numbers in each of its
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
