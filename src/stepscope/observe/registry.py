"""Short ids for the objects of the script, kept without keeping the objects alive."""

from __future__ import annotations

import gc
import weakref
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn
from torch.optim import Optimizer

from stepscope.observe.gauge import shape_of
from stepscope.observe.naming import name_in_script
from stepscope.observe.thorough.provenance import Origins
from stepscope.record import events as ev
from stepscope.record.numbers import to_number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from torch.utils.data import DataLoader

Options = dict[str, Any]


class ParameterEntry:
    """What is known of one parameter, and where its gradient stands.

    ``before`` is the gradient's identity when backward began, ``applied`` its identity right
    after a step used it (None: not used since it was last cleared), ``filled`` whether a
    backward filled it since then. ``lane`` is the thread that trains it. ``last`` is the gradient's
    identity when torch last touched it, ``altered`` whether the script changed an applied one,
    ``used`` the very gradient that was applied, ``mark`` by what it can be known again, ``zeroed``
    whether it has been zero since.
    ``trained`` says whether a step ever used a gradient of it.
    """

    __slots__ = (
        "altered",
        "applied",
        "before",
        "filled",
        "id",
        "lane",
        "last",
        "mark",
        "name",
        "named",
        "owners",
        "ref",
        "stale",
        "trained",
        "used",
        "zeroed",
    )

    def __init__(self, id_: str, name: str, parameter: Tensor) -> None:
        """Begin with a parameter of which no gradient has been seen."""
        self.id = id_
        self.name = name
        self.named = False
        self.lane = 0
        self.ref = weakref.ref(parameter)
        self.owners: list[str] = []
        self.before: tuple[int, int] | None = None
        self.applied: tuple[int, int] | None = None
        self.last: tuple[int, int] | None = None
        self.used: Callable[[], Any] | None = None
        self.mark: Tensor | None = None
        self.filled = False
        self.stale = False
        self.altered = False
        self.zeroed = False
        self.trained = False

    def info(self, parameter: Tensor) -> ev.ParameterInfo:
        """The parameter as an event tells of it."""
        return ev.ParameterInfo(
            id=self.id,
            name=self.name,
            shape=shape_of(parameter),
            dtype=str(parameter.dtype).removeprefix("torch."),
            device=str(parameter.device),
            requires_grad=parameter.requires_grad,
        )


class _Ids:
    """Ids of one sort of object. An object that dies gives up its place, never its id."""

    def __init__(self, letter: str) -> None:
        self._letter = letter
        self._known: dict[int, tuple[str, weakref.ref[Any]]] = {}
        self.count = 0

    def get(self, thing: Any) -> str | None:
        known = self._known.get(id(thing))
        return known[0] if known is not None and known[1]() is thing else None

    def add(self, thing: Any, name: str | None = None) -> str:
        if name is None:
            self.count += 1
            name = f"{self._letter}{self.count}"
        key = id(thing)
        self._known[key] = (name, weakref.ref(thing, lambda _ref: self._known.pop(key, None)))
        return name

    def alive(self) -> Iterator[tuple[str, Any]]:
        for name, ref in list(self._known.values()):
            thing = ref()
            if thing is not None:
                yield name, thing


class Registry:
    """The models, parameters, optimizers, schedulers and loaders seen so far."""

    def __init__(self, note: Callable[..., object]) -> None:
        """Introduce each new object through ``note(event_class, **fields)``."""
        self._note = note
        self._models = _Ids("m")
        self._optimizers = _Ids("o")
        self._schedulers = _Ids("s")
        self._loaders = _Ids("l")
        # Loaders by what feeds them: the id, the loader, its dataset.
        self._feeds: dict[Any, tuple[str, weakref.ref[Any], Callable[[], Any]]] = {}
        self._parameters: dict[int, ParameterEntry] = {}
        self._parameter_count = 0
        self._searched = 0
        self._sizes: dict[str, int] = {}
        self.origins = Origins()
        self._prefixes: dict[str, str] = {}  # of the names of a model's parameters
        #: Which lane asks; set as soon as there are several.
        self.here: Callable[[], int] | None = None

    # Parameters.

    def entries(self) -> Iterator[tuple[ParameterEntry, Tensor]]:
        """The parameters that are alive, in the order they were seen; with several threads, this one's.

        The engine changes gradients without holding Python's lock: reading one that another
        thread is training could crash.
        """
        here = None if self.here is None else self.here()
        for entry in list(self._parameters.values()):
            if here is not None and entry.lane != here:
                continue
            parameter = entry.ref()
            if parameter is not None:
                yield entry, parameter

    def entry(self, parameter: Tensor) -> ParameterEntry | None:
        """The entry of a parameter that was seen."""
        entry = self._parameters.get(id(parameter))
        return entry if entry is not None and entry.ref() is parameter else None

    def add_parameter(self, parameter: Tensor, name: str = "") -> ParameterEntry:
        """The entry of ``parameter``, made where it is new."""
        entry = self.entry(parameter)
        if entry is None:
            self._parameter_count += 1
            id_ = f"p{self._parameter_count}"
            entry = ParameterEntry(id_, name or id_, parameter)
            entry.named = bool(name)
            entry.lane = 0 if self.here is None else self.here()
            key = id(parameter)
            self._parameters[key] = entry
            weakref.finalize(parameter, self._drop, key, entry).atexit = False
        elif name and not entry.named:
            entry.name, entry.named = name, True
        return entry

    def claim(self, parameters: Iterable[Tensor]) -> None:
        """This thread trains ``parameters`` from here on."""
        if self.here is not None:
            here = self.here()
            for parameter in parameters:
                entry = self.entry(parameter)
                if entry is not None:
                    entry.lane = here

    def _drop(self, key: int, entry: ParameterEntry) -> None:
        if self._parameters.get(key) is entry:
            del self._parameters[key]

    # Models.

    def model(self, module: nn.Module) -> str:
        """The id of a module that user code calls."""
        known = self._models.get(module)
        if known is not None:
            return known
        return self._introduce(module)

    def models(self) -> list[nn.Module]:
        """The modules that user code has called and that are alive."""
        return [module for _, ref in list(self._models._known.values()) if (module := ref()) is not None]

    def known_model(self, module: nn.Module) -> str | None:
        """The id of a module, where it has one."""
        return self._models.get(module)

    def _introduce(self, module: nn.Module) -> str:
        id_ = self._models.add(module)
        cls = type(module).__name__
        name = name_in_script(module, cls)
        prefix = self._prefixes[id_] = "" if self._only_model(module) else f"{name}."
        infos = []
        for path, parameter in module.named_parameters():
            infos.append(self.add_parameter(parameter, prefix + path).info(parameter))
        self._note(ev.ModelSeen, id=id_, name=name, cls=cls, modules=sum(1 for _ in module.modules()), parameters=infos)
        return id_

    def refresh(self, id_: str, module: nn.Module) -> None:
        """Introduce a model again where it has parameters that are new."""
        named = list(nn.Module.named_parameters(module))
        if all((entry := self.entry(p)) is not None and entry.named for _, p in named):
            return
        prefix = self._prefixes.get(id_, "")
        infos = [self.add_parameter(p, prefix + path).info(p) for path, p in named]
        cls = type(module).__name__
        modules = sum(1 for _ in nn.Module.modules(module))
        self._note(ev.ModelSeen, id=id_, name=prefix.rstrip(".") or cls, cls=cls, modules=modules, parameters=infos)

    def _only_model(self, module: nn.Module) -> bool:
        """Whether this is the first module with parameters: its names need no prefix."""
        return next(module.parameters(), None) is None or not any(e.named for e, _ in self.entries())

    # Optimizers.

    def optimizer(self, optimizer: Optimizer, *, made: bool = False) -> str:
        """The id of an optimizer; told anew when parameters were added to it."""
        known = self._optimizers.get(optimizer)
        size = sum(len(group["params"]) for group in optimizer.param_groups)
        if known is not None and self._sizes.get(known) == size:
            return known
        cls = type(optimizer).__name__
        id_ = known or self._optimizers.add(optimizer)
        # While it is being made no variable holds it yet: its name is told when it first acts.
        self._sizes[id_] = -1 if made else size
        groups, infos = [], []
        for group in optimizer.param_groups:
            entries = [self.add_parameter(parameter) for parameter in group["params"]]
            for entry, parameter in zip(entries, group["params"], strict=True):
                if id_ not in entry.owners:
                    entry.owners.append(id_)
                infos.append(entry.info(parameter))
            groups.append(ev.Group(parameters=[entry.id for entry in entries], options=options_of(group)))
        self._note(
            ev.OptimizerSeen,
            id=id_,
            name=name_in_script(optimizer, cls),
            cls=cls,
            groups=groups,
            parameters=infos,
            made=made,
        )
        return id_

    def find_optimizers(self) -> bool:
        """Look for optimizers that were made before the watch; whether one owns a parameter that is known."""
        if self._searched == self._parameter_count:
            return False
        self._searched = self._parameter_count
        made = [thing for thing in gc.get_objects() if issubclass(type(thing), Optimizer)]
        found = False
        for optimizer in made:
            groups = vars(optimizer).get("param_groups", ())
            if any(self.entry(parameter) for group in groups for parameter in group["params"]):
                self.optimizer(optimizer)
                found = True
        return found

    def optimizers(self) -> Iterator[tuple[str, Optimizer]]:
        """The optimizers that are alive, by id."""
        return self._optimizers.alive()

    def held(self) -> Iterator[Tensor]:
        """The parameters that optimizers hold now, whatever they held when they were seen."""
        for _, optimizer in self.optimizers():
            for group in optimizer.param_groups:
                yield from group["params"]

    def known_optimizer(self, optimizer: Optimizer) -> str:
        """The id of an optimizer that has one; empty otherwise."""
        return self._optimizers.get(optimizer) or ""

    @property
    def has_optimizers(self) -> bool:
        """Whether any optimizer has been seen."""
        return self._optimizers.count > 0

    # Schedulers and loaders.

    def scheduler(self, scheduler: Any, *, made: bool = False) -> str:
        """The id of a learning-rate scheduler."""
        known = self._schedulers.get(scheduler)
        if known is not None:
            return known
        id_ = self._schedulers.add(scheduler)
        optimizer = getattr(scheduler, "optimizer", None)
        self._note(
            ev.SchedulerSeen,
            id=id_,
            cls=type(scheduler).__name__,
            optimizer=self.optimizer(optimizer) if isinstance(optimizer, Optimizer) else None,
            options=options_of({k: v for k, v in vars(scheduler).items() if not k.startswith("_")}),
            made=made,
        )
        return id_

    def loader(self, loader: DataLoader[Any]) -> str:
        """The id of a data loader; one made anew for each epoch keeps that of the one before."""
        known = self._loaders.get(loader)
        if known is not None:
            return known
        kind = (id(loader.dataset), loader.batch_size, type(loader.sampler))
        before = self._feeds.get(kind)
        same = before is not None and before[1]() is None and before[2]() is loader.dataset
        id_ = self._loaders.add(loader, before[0] if before is not None and same else None)
        self._feeds[kind] = (id_, weakref.ref(loader), _weakly(loader.dataset))
        if same:
            return id_
        self._note(
            ev.LoaderSeen,
            id=id_,
            dataset=type(loader.dataset).__name__,
            sampler=type(loader.sampler).__name__,
            batch_size=loader.batch_size,
            batches=_length(loader),
            samples=_length(loader.dataset),
            workers=loader.num_workers,
        )
        return id_


def _weakly(thing: Any) -> Callable[[], Any]:
    """A reference that keeps nothing alive; to what cannot be referred to so, one to nothing."""
    try:
        return weakref.ref(thing)
    except TypeError:
        return lambda: None


def number_in(id_: str) -> int:
    """The number in an id: ``l12`` -> 12."""
    return int(id_[1:])


def _length(thing: Any) -> int | None:
    # A dataset's __len__ is the user's code; what it raises is no business of the watch.
    try:
        return len(thing)
    except Exception:  # noqa: BLE001
        return None


def options_of(group: Options) -> Options:
    """The plain values among an optimizer's (or scheduler's) settings."""
    options: Options = {}
    for name, value in group.items():
        plain = _plain(value)
        if plain is not _NOT_PLAIN:
            options[name] = plain
    return options


_NOT_PLAIN = object()


def _plain(value: Any) -> Any:
    if value is None or type(value) in {bool, int, str}:
        return value
    if isinstance(value, Integral):  # NumPy's as well, which no JSON writer knows
        return int(value)
    if isinstance(value, Real):
        return to_number(float(value))
    if isinstance(value, (tuple, list)) and value and all(type(v) in {int, float} for v in value) and len(value) <= 8:
        return [to_number(float(v)) for v in value]
    if isinstance(value, Tensor) and value.dim() == 0 and value.is_cpu:
        return to_number(float(value))
    return _NOT_PLAIN


def rates_of(optimizer: Optimizer) -> list[Any]:
    """The learning rate of each parameter group (on the CPU; others are left out)."""
    return [rate for group in optimizer.param_groups if (rate := _plain(group.get("lr"))) is not _NOT_PLAIN]


def gradients_in(parameters: Iterable[Tensor]) -> int:
    """How many of ``parameters`` hold a gradient."""
    return sum(parameter.grad is not None for parameter in parameters)
