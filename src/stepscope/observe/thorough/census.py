"""Who holds the parameters that a loss reaches: asked when backward begins in a close look of a thorough watch."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, Literal

import msgspec
from torch import Tensor, nn

from stepscope.observe.frames import all_frames
from stepscope.observe.gauge import looks_plain, thinned
from stepscope.observe.thorough.provenance import children, named_parameters
from stepscope.observe.thorough.sources import sounds_alike, statements
from stepscope.observe.thorough.twins import find_twins
from stepscope.record.holding import Holding, Loose, Misspelt, ModelState, Orphan, Switch, Twins

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from stepscope.observe.registry import ParameterEntry, Registry
    from stepscope.observe.thorough.provenance import Made
    from stepscope.observe.thorough.sources import Statement

#: Parameters that no optimizer holds are told one by one up to this many, and copied up to so many elements.
MOST_LOOSE = 256
MOST_COPIED = 1 << 14
#: Plain containers of a module are looked into up to this many items.
MOST_ITEMS = 1000


class _Holder:
    """Who holds one parameter: the outermost module, the layer itself, the path between."""

    __slots__ = ("layers", "path", "root")

    def __init__(self, root: nn.Module, path: str, layers: list[nn.Module]) -> None:
        self.root = root
        self.path = path
        self.layers = layers


class Census:
    """The census of one look."""

    def __init__(self, registry: Registry) -> None:
        """Ask about the parameters of ``registry``."""
        self._registry = registry
        self._origins = registry.origins
        self._called: dict[str, weakref.ref[nn.Module]] = {}
        self._strangers: dict[int, tuple[weakref.ref[nn.Module], str]] = {}
        self._root = ""
        self._loose: dict[str, tuple[Loose, Any]] = {}
        self._orphans: dict[str, Orphan] = {}
        self._models: dict[str, ModelState] = {}
        self._misspelt: list[Misspelt] = []
        self._switches: list[Switch] = []
        self._twins: list[Twins] = []

    def called(self, module: nn.Module, model: str) -> None:
        """User code calls a module."""
        self._called[model] = weakref.ref(module)
        self._root = type(module).__name__

    def stranger(self, module: nn.Module) -> None:
        """A layer is called inside a module that does not have it."""
        self._strangers.setdefault(id(module), (weakref.ref(module), self._root))

    def reached(self, leaves: list[Tensor]) -> None:
        """Backward is about to add gradients to ``leaves``."""
        held = {id(parameter) for parameter in self._registry.held()}
        models = {name: module for name, ref in self._called.items() if (module := ref()) is not None}
        for name, module in models.items():
            self._registry.refresh(name, module)
        self._origins.settle(
            [p for m in models.values() for _, p in named_parameters(m)], self._registry.entry, list(models.values())
        )
        loose = [leaf for leaf in leaves if isinstance(leaf, nn.Parameter) and id(leaf) not in held]
        if loose:
            self._tell_loose(loose[:MOST_LOOSE])
        self._find_orphans({id(leaf) for leaf in loose})
        for name, module in models.items():
            self._models[name] = self._state(name, module)
            self._find_misspelt(module)
        self._twins = find_twins([*models.values(), *self._origins.modules()])
        if any(state.frozen for state in self._models.values()):
            self._switches = [Switch(found.file, found.line) for found in _freezing()]

    # Parameters without an optimizer.

    def _tell_loose(self, loose: Sequence[Tensor]) -> None:
        roots = [module for ref in self._called.values() if (module := ref()) is not None]
        holders = _holders([*roots, *self._origins.modules()], {id(parameter) for parameter in loose})
        contained = dict(_contained(self._origins.modules()))
        for parameter in loose:
            told = self._one_loose(parameter, holders.get(id(parameter)), contained)
            self._loose.setdefault(told[0].id, told)

    def _one_loose(
        self, parameter: Tensor, holder: _Holder | None, contained: dict[int, tuple[str, str]]
    ) -> tuple[Loose, Any]:
        held: Literal["model", "container", "called", "nobody"] = "nobody"
        root = path = attribute = layer = ""
        made: Made | None = None
        if holder is not None:
            held, root, path = "model", type(holder.root).__name__, holder.path
            made, layer = self._origins.of(holder.root), root
            stranger = self._strangers.get(id(holder.root))
            if id(holder.root) in contained:
                held, (root, attribute) = "container", contained[id(holder.root)]
            elif stranger is not None:
                held, root = "called", stranger[1]
        elif id(parameter) in contained:
            held, (root, attribute) = "container", contained[id(parameter)]
        entry = self._registry.add_parameter(
            parameter, f"{attribute or layer}.{path}".strip(".") if held != "model" else ""
        )
        told = Loose(
            id=entry.id,
            name=entry.name if entry.named or not path else path,
            elements=parameter.numel(),
            held=held,
            root=root,
            path=path,
            attribute=attribute,
            layer=layer,
            fresh=self._fresh(parameter, entry, holder.layers if holder is not None else []),
            training=holder is None or holder.layers[-1].training,
            file=made.file if made else None,
            line=made.line if made else 0,
        )
        return told, self._moved(entry.id, parameter)

    def _moved(self, id_: str, parameter: Tensor) -> Any:
        """Whether somebody changed it since the last look, as a number that may still be on a device."""
        if not looks_plain(parameter):
            return None
        now = thinned(parameter.detach()).reshape(-1)[:MOST_COPIED]
        before = self._origins.copies.get(id_)
        self._origins.copies[id_] = now.clone()
        if before is None or before.shape != now.shape or before.device != now.device:
            return None
        return (before != now).any()

    def _fresh(self, parameter: Tensor, entry: ParameterEntry | None, layers: list[nn.Module]) -> bool:
        """Whether it has its first values still, as far as was seen: not trained, not loaded, not copied."""
        if (entry is not None and entry.trained) or self._origins.is_given(parameter) or not layers:
            return False
        made = self._origins.of(layers[-1])
        return made is not None and made.fresh

    # Parameters that an optimizer holds and the model does not.

    def _find_orphans(self, loose: set[int]) -> None:
        current: dict[int, dict[str, Tensor]] = {}
        for id_, optimizer in self._registry.optimizers():
            for group in optimizer.param_groups:
                for parameter in group["params"]:
                    entry = self._registry.entry(parameter)
                    home = self._origins.homes.get(entry.id) if entry is not None else None
                    root = home.root() if home is not None else None
                    if entry is None or home is None or root is None or entry.id in self._orphans:
                        continue
                    now = current.get(id(root))
                    if now is None:
                        now = current[id(root)] = dict(named_parameters(root))
                    if now.get(home.path) is not parameter and not any(p is parameter for p in now.values()):
                        self._orphans[entry.id] = self._orphan(entry, id_, root, home.path, home.serial, now, loose)

    def _orphan(
        self,
        entry: ParameterEntry,
        optimizer: str,
        root: nn.Module,
        path: str,
        serial: int,
        now: dict[str, Tensor],
        loose: set[int],
    ) -> Orphan:
        successor, made = now.get(path), None
        module, walked = root, ""
        for name in path.split(".")[:-1]:
            walked += f"{name}."
            child = (vars(module).get("_modules") or {}).get(name)
            if not isinstance(child, nn.Module):
                break
            module = child
            begun = self._origins.of(child)
            if begun is not None and begun.serial > serial:
                made = begun
                break
        if made is not None and (successor is None or id(successor) not in loose):
            below = [p for name, p in now.items() if name.startswith(walked)]
            successor = next((p for p in below if id(p) in loose), successor)
        known = self._registry.entry(successor) if successor is not None else None
        return Orphan(
            id=entry.id,
            optimizer=optimizer,
            root=type(root).__name__,
            path=path,
            successor=known.id if known is not None else None,
            unheld=successor is not None and id(successor) in loose,
            file=made.file if made else None,
            line=made.line if made else 0,
        )

    # What can train.

    def _state(self, name: str, module: nn.Module) -> ModelState:
        learning: list[str] = []
        frozen: list[str] = []
        fresh: list[str] = []
        elements = trainable = 0
        for layers, parameter in _with_layers(module):
            entry = self._registry.entry(parameter)
            elements += parameter.numel()
            if parameter.requires_grad:
                trainable += parameter.numel()
            if entry is None:
                continue
            (learning if parameter.requires_grad else frozen).append(entry.id)
            if not parameter.requires_grad and self._fresh(parameter, entry, layers):
                fresh.append(entry.id)
        return ModelState(
            model=name, elements=elements, trainable=trainable, learning=learning, frozen=frozen, fresh=fresh
        )

    def _find_misspelt(self, root: nn.Module) -> None:
        for path, module in nn.Module.named_modules(root):
            for name, value in vars(module).items():
                if sounds_alike(name) and isinstance(value, bool):
                    self._tell_misspelt(name, value, "module", module, path, [p for _, p in named_parameters(module)])
        wrong: dict[tuple[str, bool], list[Tensor]] = {}
        for _, parameter in named_parameters(root):
            for name, value in vars(parameter).items():
                if sounds_alike(name) and isinstance(value, bool):
                    wrong.setdefault((name, value), []).append(parameter)
        for (name, value), parameters in wrong.items():
            self._tell_misspelt(name, value, "parameter", root, "", parameters)

    def _tell_misspelt(
        self,
        name: str,
        value: bool,  # noqa: FBT001  # it is what the user's statement assigned
        on: Literal["module", "parameter"],
        module: nn.Module,
        path: str,
        parameters: list[Tensor],
    ) -> None:
        entries = [(entry, p) for p in parameters if (entry := self._registry.entry(p)) is not None]
        place = _place_of(name, value, on, path)
        own = place is not None and place.of == "self"
        told = Misspelt(
            attribute=name,
            value=value,
            on=on,
            cls=type(module).__name__,
            path=path or (entries[0][0].name if on == "parameter" and entries else ""),
            parameters=[entry.id for entry, _ in entries],
            learning=[entry.id for entry, p in entries if p.requires_grad],
            own=own,
            file=place.file if place else None,
            line=place.line if place else 0,
        )
        if told not in self._misspelt:
            self._misspelt.append(told)

    def told(self) -> Holding | None:
        """All of it, once the numbers are here; None where nothing was reached."""
        loose = [
            msgspec.structs.replace(told, moved=None if moved is None else bool(moved))
            for told, moved in self._loose.values()
        ]
        if not loose and not self._models:
            return None
        return Holding(
            loose=loose,
            orphans=list(self._orphans.values()),
            models=list(self._models.values()),
            misspelt=self._misspelt,
            switches=self._switches,
            twins=self._twins,
        )


def _holders(modules: Iterable[nn.Module], wanted: set[int]) -> dict[int, _Holder]:
    """Who holds the parameters with the ids ``wanted``: the outermost module, of those that come in question."""
    alive = list({id(module): module for module in modules}.values())
    held = {id(child) for module in alive for child in children(module)}
    found: dict[int, _Holder] = {}
    for root in alive:
        if id(root) in held:
            continue
        for path, layers, parameter in _walk(root, "", [root]):
            if id(parameter) in wanted:
                found.setdefault(id(parameter), _Holder(root, path, layers))
    return found


def _walk(module: nn.Module, prefix: str, layers: list[nn.Module]) -> Iterator[tuple[str, list[nn.Module], Tensor]]:
    for name, parameter in (vars(module).get("_parameters") or {}).items():
        if isinstance(parameter, Tensor):
            yield prefix + name, layers, parameter
    for name, child in (vars(module).get("_modules") or {}).items():
        if isinstance(child, nn.Module) and not any(child is layer for layer in layers):
            yield from _walk(child, f"{prefix}{name}.", [*layers, child])


def _with_layers(module: nn.Module) -> Iterator[tuple[list[nn.Module], Tensor]]:
    seen: set[int] = set()
    for _, layers, parameter in _walk(module, "", [module]):
        if id(parameter) not in seen:
            seen.add(id(parameter))
            yield layers, parameter


def _contained(modules: Iterable[nn.Module]) -> Iterator[tuple[int, tuple[str, str]]]:
    """The modules and parameters in plain lists, tuples and dicts of ``modules``: id, class and attribute."""
    for module in modules:
        for name, value in list(vars(module).items()):
            if name in _OF_TORCH or not isinstance(value, (list, tuple, dict)) or len(value) > MOST_ITEMS:
                continue
            for item in _items(value):
                yield id(item), (type(module).__name__, name)


def _items(value: Any) -> Iterator[Any]:
    inside = value.values() if isinstance(value, dict) else value
    for item in list(inside):
        if isinstance(item, (nn.Module, nn.Parameter)):
            yield item
        elif isinstance(item, (list, tuple, dict)) and len(item) <= MOST_ITEMS:
            deeper = item.values() if isinstance(item, dict) else item
            yield from (one for one in deeper if isinstance(one, (nn.Module, nn.Parameter)))


#: Where torch itself keeps what a module has.
_OF_TORCH = frozenset({"_parameters", "_modules", "_buffers", "_forward_hooks", "_backward_hooks"})


def _freezing() -> list[Statement]:
    """The statements that may have frozen parameters; those of code that is running, or of the one loop that does."""
    right = [s for s in statements() if s.attribute in {"requires_grad", "requires_grad_"} and s.value is not True]
    running = {(frame.f_code.co_filename, frame.f_code.co_name) for frame, is_user in all_frames() if is_user}
    nearer = [s for s in right if not s.function or (s.file, s.function) in running]
    loops = [s for s in right if s.each]
    return next((some for some in (right, nearer, loops) if len(some) == 1), right)


def _place_of(name: str, value: bool, on: str, path: str) -> Statement | None:  # noqa: FBT001
    """The statement that set attribute ``name``; None where several may have."""
    found = [s for s in statements() if s.attribute == name and s.value in {value, None}]
    if on == "module":
        found = [s for s in found if not s.each]
    nearer = [s for s in found if path and s.of.rpartition(".")[2] == path.rpartition(".")[2]]
    found = nearer or found
    return found[0] if found and (len(found) == 1 or nearer) else None
