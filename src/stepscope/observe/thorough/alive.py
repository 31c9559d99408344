"""Graphs of earlier updates that are still alive, and who holds them.

Each loss that is backpropagated leaves a mark in its graph: a small object in ``grad_fn.metadata``
that lives as long as the graph's node does. Marks are held weakly; those that are still there many
updates later tell of graphs that somebody keeps.
"""

from __future__ import annotations

import ast
import gc
import sys
import weakref
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from stepscope.observe.frames import is_users, locals_of, user_frames

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

KEY = "stepscope"
#: A holder is looked for once so many earlier updates are alive, and again at twice as many, but not for ever.
SEARCH_FROM, _MOST_SEARCHES = 6, 3
_MOST_DEPTH = 100_000
_MOST_NODES = 4000
_MOST_ITEMS = 2000
_ENDS = 4
_ADDING = frozenset({"append", "appendleft", "extend", "add", "insert", "update", "setdefault", "put"})


class Mark:
    """Put into a graph: which update it belongs to."""

    __slots__ = ("__weakref__", "update")

    def __init__(self, update: int) -> None:
        """Belong to update number ``update``."""
        self.update = update


class Alive:
    """The marks of one thread's losses."""

    def __init__(self) -> None:
        """Start with none."""
        self._marks: deque[weakref.ref[Mark]] = deque(maxlen=2000)
        self._searched = 0
        self._searches = 0

    def count(self, update: int) -> int:
        """Of how many updates before ``update`` the graph is alive."""
        alive = [ref for ref in self._marks if ref() is not None]
        if len(alive) < len(self._marks):
            self._marks = deque(alive, maxlen=self._marks.maxlen)
        return len({mark.update for ref in alive if (mark := ref()) is not None and mark.update < update})

    def worth_searching(self, alive: int) -> bool:
        """Whether so many are alive that it is time to see who holds them (ever more rarely)."""
        if alive < SEARCH_FROM or alive < 2 * self._searched or self._searches == _MOST_SEARCHES:
            return False
        self._searched = alive
        self._searches += 1
        gc.collect()  # what only waits for the collector is held by nobody
        return True

    def found(self) -> None:
        """Who holds them is known."""
        self._searches = _MOST_SEARCHES

    def mark(self, root: Tensor, update: int) -> None:
        """Mark the graph behind ``root`` at its end and at its beginning."""
        node = root.grad_fn
        for end in (node, _first(node)):
            if end is None:
                continue
            metadata = getattr(end, "metadata", None)
            if isinstance(metadata, dict) and KEY not in metadata:
                mark = metadata[KEY] = Mark(update)
                self._marks.append(weakref.ref(mark))


def _first(node: Any) -> Any:
    """Follow a graph down to a node behind which there are only leaves."""
    for _ in range(_MOST_DEPTH if node is not None else 0):
        below = next((c for c, _ in node.next_functions if c is not None and not hasattr(c, "variable")), None)
        if below is None:
            return node
        node = below
    return None


# Who holds them.


def find_holder(update: int, modules: Iterable[nn.Module]) -> tuple[str, str | None, int] | None:
    """What holds graphs of updates well before ``update``: its name, and the line that puts them there."""
    files = []
    for frame in user_frames():
        files.append(frame.f_code.co_filename)
        held = _search_names(locals_of(frame), update)
        if held is None:
            held = _search_names(frame.f_globals, update)
        if held is not None:
            return _located(held, [*files, *_class_file(held[1])])
    for module in modules:
        held = _search(vars(module), update, (), module, 1)
        if held is not None:
            return _located(held, [*_class_file(module), *files])
    held = _ask_collector(update)
    return None if held is None else _located(held, [*_class_file(held[1]), *files])


def _ask_collector(update: int) -> _Held | None:
    """Find the attribute of an object of the user's that holds such a tensor, wherever that object is."""
    for thing in gc.get_objects():
        if not _is_users(thing):
            continue
        held = _search(vars(thing), update, (), thing, 3)
        if held is not None:
            return held
    return None


#: Names and keys from a variable down to the tensor, and the object whose attribute it is (None: a variable's).
_Held = tuple[tuple[Any, ...], Any]


def _search_names(names: Mapping[str, Any], update: int) -> _Held | None:
    for name, value in list(names.items())[:_MOST_ITEMS]:
        if name.startswith("__"):
            continue
        found = _search(value, update, (name,), None, 0)
        if found is not None:
            return found
    return None


def _search(value: Any, update: int, path: tuple[Any, ...], owner: Any, depth: int) -> _Held | None:
    if isinstance(value, Tensor):
        return (path, owner) if _holds(value, update) else None
    if depth > 4:
        return None
    for key, item, whose in _items(value):
        found = _search(item, update, (*path, key) if key is not None else path, whose or owner, depth + 1)
        if found is not None:
            return found
    return None


def _items(value: Any) -> Iterator[tuple[Any, Any, Any]]:
    """What ``value`` holds: name or key (None: a mere position), item, the object whose attribute it is."""
    if isinstance(value, Mapping):
        if type(value).__module__.split(".")[0] in {"builtins", "collections"}:
            yield from ((key, item, None) for key, item in list(value.items())[:_MOST_ITEMS] if isinstance(key, str))
    elif isinstance(value, (list, tuple, deque)):
        some = list(value)
        some = some if len(some) <= 2 * _ENDS else [*some[:_ENDS], *some[-_ENDS:]]
        yield from ((None, item, None) for item in some)
    elif _is_users(value):
        yield from ((key, item, value) for key, item in list(vars(value).items())[:_MOST_ITEMS])


def _is_users(value: Any) -> bool:
    """Whether ``value`` is an object of a class that the user wrote."""
    if isinstance(value, type) or not hasattr(value, "__dict__"):
        return False
    if callable(value) and not isinstance(value, nn.Module):
        return False
    return bool(_class_file(value))


def _class_file(value: Any) -> list[str]:
    module = sys.modules.get(type(value).__module__)
    file = getattr(module, "__file__", None)
    return [file] if file is not None and is_users(file) else []


def _holds(tensor: Tensor, update: int) -> bool:
    """Whether the graph behind ``tensor`` has a mark of an update well before ``update``."""
    if tensor.grad_fn is None:
        return False
    seen: set[Any] = {tensor.grad_fn}
    waiting = [tensor.grad_fn]
    while waiting and len(seen) < _MOST_NODES:
        node: Any = waiting.pop()
        if hasattr(node, "variable"):
            continue
        mark = node.metadata.get(KEY)
        if isinstance(mark, Mark) and mark.update < update - 2:
            return True
        for child, _ in node.next_functions:
            if child is not None and child not in seen:
                seen.add(child)
                waiting.append(child)
    return False


# Which line puts them there.


def _located(held: _Held, files: list[str]) -> tuple[str, str | None, int]:
    words = [str(part) for part in held[0]]
    shown = ".".join(words)
    for file in dict.fromkeys(files):
        line = _line_of(file, words)
        if line:
            return shown, file, line
    return shown, None, 0


def _line_of(file: str, words: list[str]) -> int:
    """The line in ``file`` that adds to, or sets, what is called by one of ``words`` (the last ones first)."""
    try:
        tree = ast.parse(Path(file).read_text(encoding="utf-8", errors="replace"))
    except (OSError, SyntaxError, ValueError):
        return 0
    best: tuple[int, int] = (0, 0)
    for node in ast.walk(tree):
        target, weight = _written(node)
        if target is None or _plain(node):
            continue
        named = {n.id for n in ast.walk(target) if isinstance(n, ast.Name)}
        named |= {n.attr for n in ast.walk(target) if isinstance(n, ast.Attribute)}
        named |= {str(n.value) for n in ast.walk(target) if isinstance(n, ast.Constant)}
        hits = sum(word in named for word in words if word != "self")
        line = getattr(node, "lineno", 0)
        if hits and (hits * 10 + weight) > best[0]:
            best = (hits * 10 + weight, line)
    return best[1]


def _written(node: ast.AST) -> tuple[ast.AST | None, int]:
    """What a statement writes to, and how likely that piles up: adding to it most, then setting it."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _ADDING:
        return node.func.value, 3
    if isinstance(node, ast.AugAssign):
        return node.target, 3
    if isinstance(node, ast.Assign):
        return node.targets[0], 1 + _mentions(node.value, node.targets[0])
    return None, 0


def _mentions(value: ast.AST, target: ast.AST) -> bool:
    return any(ast.dump(n) == ast.dump(target).replace("Store()", "Load()") for n in ast.walk(value))


def _plain(node: ast.AST) -> bool:
    """Whether a statement only makes an empty or constant beginning, or adds a plain number."""
    value = node.args[0] if isinstance(node, ast.Call) and node.args else getattr(node, "value", None)
    if isinstance(node, ast.Assign) and isinstance(value, ast.Call):
        return not any(isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load) for a in value.args for n in ast.walk(a))
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute):
        return value.func.attr in {"item", "detach", "tolist", "cpu"} and value.func.attr != "cpu"
    return isinstance(value, (ast.Constant, ast.List, ast.Dict)) and not list(ast.iter_child_nodes(value))[1:]
