"""What feeds a loader: the dataset below its subsets, what it stores, which random generators it holds."""

from __future__ import annotations

import dis
import functools
import pickle
import random
import sys
import types
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils.data import Dataset, Subset

from stepscope.record.samples import OwnGenerator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: How deep, and at how many objects, a dataset is searched.
_DEPTH = 5
_MOST_OBJECTS = 400
_MOST_ITEMS = 64
_LEAVES = (str, bytes, int, float, complex, bool, type(None), type, types.ModuleType, types.FunctionType)


def below(dataset: Any) -> tuple[Any, list[Any]]:
    """The dataset below subsets and wrappers of equal length, and the indices that lead there, outermost first."""
    maps: list[Any] = []
    for _ in range(_DEPTH):
        if isinstance(dataset, Subset):
            maps.append(dataset.indices)
            dataset = dataset.dataset
            continue
        inner = [value for value in _attributes(dataset).values() if isinstance(value, Dataset)]
        if len(inner) != 1 or length(inner[0]) is None or length(inner[0]) != length(dataset):
            break
        dataset = inner[0]
    return dataset, maps


def lowered(indices: list[int], maps: list[Any]) -> list[int]:
    """Indices of a loader as indices of the dataset below."""
    for mapping in maps:
        indices = [int(mapping[index]) for index in indices]
    return indices


def length(thing: Any) -> int | None:
    """How many samples a dataset says it has; None where it does not say."""
    try:
        return len(thing)
    except Exception:  # noqa: BLE001  # a dataset's __len__ is the user's code
        return None


def _attributes(thing: Any) -> dict[str, Any]:
    found = getattr(thing, "__dict__", None)
    return found if isinstance(found, dict) else {}


# What it stores.


def stored(dataset: Any) -> dict[str, Any]:
    """The tensors, arrays and lists of them, in which a dataset keeps a sample per index, by attribute."""
    count = length(dataset) or 0
    found: dict[str, Any] = {}
    for name, value in list(_attributes(dataset).items())[:_MOST_ITEMS]:
        for path, item in _spread(name, value):
            sized = (_is_array(item) and item.ndim) or (isinstance(item, list) and item and _holds_arrays(item[0]))
            if sized and len(item) >= count > 0:
                found[path] = item
    return found


def _spread(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    yield name, value
    if isinstance(value, tuple) and len(value) <= _MOST_ITEMS:
        yield from ((f"{name}[{place}]", item) for place, item in enumerate(value))


def _holds_arrays(sample: Any) -> bool:
    if isinstance(sample, (tuple, list)):
        return any(_is_array(part) for part in sample[:_MOST_ITEMS])
    if isinstance(sample, dict):
        return any(_is_array(part) for part in sample.values())
    return _is_array(sample)


def _is_array(value: Any) -> bool:
    if type(value) is Tensor:
        return value.is_cpu and value.layout is torch.strided and not value.is_quantized
    numpy = sys.modules.get("numpy")
    return numpy is not None and type(value) is numpy.ndarray and value.dtype != object


def content(store: Any, index: int) -> bytes | None:
    """The sample that ``store`` keeps for ``index``, as bytes; None where it keeps none, or a single number.

    A single number is a label, or a count of how often a sample was read.
    """
    with suppress(Exception):  # an index beyond what is stored, a lazily filled list
        parts = _parts(store[index])
        if sum(part.numel() if isinstance(part, Tensor) else part.size for part in parts) > 1:
            return b"".join(_bytes(part) for part in parts)
    return None


def _parts(sample: Any) -> list[Any]:
    if isinstance(sample, (tuple, list)):
        return [part for part in sample if _is_array(part)]
    if isinstance(sample, dict):
        return [part for part in sample.values() if _is_array(part)]
    return [sample]


def _bytes(part: Any) -> bytes:
    if isinstance(part, Tensor):
        return bytes(part.detach().reshape(-1).contiguous().view(torch.uint8).numpy().tobytes())
    return bytes(part.tobytes())


# Which random generators it holds.


class Own:
    """A random generator found in a dataset."""

    def __init__(self, path: str, holder: Any, attribute: str, state: Callable[[], bytes]) -> None:
        """Reached by ``path``; ``holder`` has it as ``attribute``."""
        self.path = path
        self.state = state
        self._place = _assigned(type(holder), attribute)

    def told(self) -> OwnGenerator:
        """As an event tells of it."""
        file, line = self._place
        return OwnGenerator(name=self.path, file=file, line=line)


def own_generators(dataset: Any, collate: Any) -> list[Own]:
    """The random generators below ``dataset`` and ``collate``: each worker would copy them."""
    found: list[Own] = []
    seen: set[int] = set()
    waiting: list[tuple[str, Any, Any, str, int]] = [
        ("collate_fn", collate, None, "", 0),
        ("dataset", dataset, None, "", 0),
    ]
    while waiting and len(seen) < _MOST_OBJECTS:
        path, value, holder, attribute, depth = waiting.pop()
        if id(value) in seen or isinstance(value, _LEAVES):
            continue
        seen.add(id(value))
        state = state_of(value)
        if state is not None:
            found.append(Own(path, holder, attribute, state))
        elif depth < _DEPTH:
            waiting += [(*step, depth + 1) for step in _inside(path, value, holder, attribute)]
    return found


def _inside(path: str, value: Any, holder: Any, attribute: str) -> Iterator[tuple[str, Any, Any, str]]:
    if isinstance(value, functools.partial):
        for part in (value.func, *value.args, *value.keywords.values()):
            yield path, part, holder, attribute
    elif isinstance(value, types.MethodType):
        yield path, value.__self__, holder, attribute
    elif isinstance(value, (list, tuple)):
        for place, item in enumerate(value[:_MOST_ITEMS]):
            yield f"{path}[{place}]", item, holder, attribute
    elif isinstance(value, dict):
        for key, item in list(value.items())[:_MOST_ITEMS]:
            yield f"{path}[{key!r}]", item, holder, attribute
    elif not _is_array(value):
        for name, item in list(_attributes(value).items())[:_MOST_ITEMS]:
            yield f"{path}.{name}", item, value, name


def state_of(value: Any) -> Callable[[], bytes] | None:
    """How to read the state of a random generator; None where ``value`` is none."""
    if isinstance(value, torch.Generator):
        return (lambda: value.get_state().numpy().tobytes()) if value.device.type == "cpu" else None
    if isinstance(value, random.Random):
        return (lambda: pickle.dumps(value.getstate())) if not isinstance(value, random.SystemRandom) else None
    numpy = sys.modules.get("numpy.random")
    if numpy is not None and isinstance(value, numpy.Generator):
        return lambda: pickle.dumps(value.bit_generator.state)
    if numpy is not None and isinstance(value, numpy.RandomState):
        return lambda: pickle.dumps(value.get_state(legacy=False))
    return None


def common_generators() -> dict[str, Callable[[], bytes]]:
    """The generators that all code of a process shares, by the name of their library."""
    found: dict[str, Callable[[], bytes]] = {
        "torch": lambda: torch.default_generator.get_state().numpy().tobytes(),
        "python": lambda: pickle.dumps(random.getstate()),
    }
    numpy = sys.modules.get("numpy.random")
    if numpy is not None:
        found["numpy"] = lambda: pickle.dumps(numpy.get_state(legacy=False))
    return found


def _assigned(cls: type, attribute: str) -> tuple[str | None, int]:
    """Where the methods of a class assign ``attribute``: read from their code, nothing is run."""
    for base in cls.__mro__:
        for method in vars(base).values():
            code = getattr(method, "__code__", None)
            if not isinstance(code, types.CodeType):
                continue
            for step in dis.get_instructions(code):
                if step.opname == "STORE_ATTR" and step.argval == attribute and step.positions is not None:
                    return code.co_filename, step.positions.lineno or code.co_firstlineno
    return None, 0
