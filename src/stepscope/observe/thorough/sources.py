"""What no call to torch tells and the user's source does: statements that freeze, keep, or bring in line."""

from __future__ import annotations

import ast
import linecache
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from stepscope.observe.frames import user_files, user_frames

if TYPE_CHECKING:
    from collections.abc import Iterator

#: So many files, and so many lines of each, are read at most.
MOST_FILES = 32
MOST_LINES = 20_000
#: Names, folded, that are meant to be ``requires_grad``.
_LIKE = re.compile(r"req[a-z]{0,6}grad(ient)?s?")


@dataclass(frozen=True)
class Statement:
    """An assignment to, or a call of, an attribute that sounds like ``requires_grad``.

    ``of`` is the source of what it belongs to; ``value`` what is assigned (None: not a plain True
    or False); ``each``: ``of`` runs over parameters in a loop; ``function``: the innermost one around it.
    """

    file: str
    line: int
    attribute: str
    of: str
    value: bool | None
    each: bool
    function: str


def sounds_alike(name: str) -> bool:
    """Whether an attribute's name is ``requires_grad``, or a misspelling of it."""
    return _LIKE.fullmatch(name.lower().replace("_", "")) is not None


def _files() -> list[str]:
    """The files of the user's code: those that run now, then the others, the last met first."""
    running = [frame.f_code.co_filename for frame in user_frames()]
    return list(dict.fromkeys([*running, *reversed(user_files())]))[:MOST_FILES]


def statements() -> list[Statement]:
    """Those in the files of the user's code that have been met so far."""
    return [found for name in _files() for found in _in_file(name)]


@lru_cache(maxsize=MOST_FILES)
def _in_file(name: str) -> tuple[Statement, ...]:
    tree = _tree(name)
    return tuple(_found(name, tree)) if tree is not None else ()


@lru_cache(maxsize=MOST_FILES)
def _tree(name: str) -> ast.AST | None:
    lines = linecache.getlines(name)
    if not lines or len(lines) > MOST_LINES:
        return None
    try:
        return ast.parse("".join(lines))
    except (SyntaxError, ValueError, RecursionError):  # a notebook's magic, say
        return None


def _found(name: str, tree: ast.AST) -> Iterator[Statement]:
    looped = set(_over_parameters(tree))
    waiting: list[tuple[ast.AST, str]] = [(tree, "")]
    while waiting:
        node, function = waiting.pop()
        for target, value in _targets(node):
            if sounds_alike(target.attr):
                plain = value.value if isinstance(value, ast.Constant) and isinstance(value.value, bool) else None
                of = ast.unparse(target.value)
                yield Statement(name, target.lineno, target.attr, of, plain, of in looped, function)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            function = node.name
        waiting += [(child, function) for child in ast.iter_child_nodes(node)]


def _targets(node: ast.AST) -> Iterator[tuple[ast.Attribute, ast.expr]]:
    """The attributes that ``node`` assigns to or calls, and what they are given."""
    if isinstance(node, ast.Assign):
        yield from ((target, node.value) for target in node.targets if isinstance(target, ast.Attribute))
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        given = [*node.args, *(keyword.value for keyword in node.keywords)]
        yield node.func, given[0] if given else ast.Constant(value=True)


def _over_parameters(tree: ast.AST) -> Iterator[str]:
    """The names that loops over parameters use for one of them."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.For, ast.comprehension)) and "parameters" in ast.unparse(node.iter):
            yield from (part.id for part in ast.walk(node.target) if isinstance(part, ast.Name))


def kept_as(file: str, line: int) -> tuple[str, bool]:
    """What the statement at ``line`` assigns to (empty: nothing), and whether that hangs on a comparison."""
    for node, compared in _walk(_tree(file)):
        if isinstance(node, (ast.Assign, ast.AnnAssign)) and node.lineno <= line <= (node.end_lineno or node.lineno):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            return ", ".join(ast.unparse(target) for target in targets), compared
    return "", False


def _walk(tree: ast.AST | None) -> Iterator[tuple[ast.AST, bool]]:
    """All nodes, each with whether it stands under an ``if`` that compares."""
    waiting: list[tuple[ast.AST, bool]] = [(tree, False)] if tree is not None else []
    while waiting:
        node, compared = waiting.pop()
        yield node, compared
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            compared = False
        elif isinstance(node, ast.If):
            compared = compared or any(isinstance(part, ast.Compare) for part in ast.walk(node.test))
        waiting += [(child, compared) for child in ast.iter_child_nodes(node)]


def subscripts() -> set[str]:
    """The string keys that the user's code reads (``[...]`` or ``.get``) other than to print them."""
    return {key for name in _files() for key in _keys_in(name)}


@lru_cache(maxsize=MOST_FILES)
def _keys_in(name: str) -> frozenset[str]:
    tree = _tree(name)
    keys = set(_keys_read(tree)) if tree is not None else set()
    return frozenset(keys)


def _keys_read(tree: ast.AST) -> Iterator[str]:
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Call) and _prints(node.func)):
            continue
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
            yield from _plain_string(node.slice)
        elif isinstance(node, ast.Call) and node.args and getattr(node.func, "attr", "") in {"get", "pop"}:
            yield from _plain_string(node.args[0])
        waiting += list(ast.iter_child_nodes(node))


def _plain_string(node: ast.expr) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value


def _prints(function: ast.expr) -> bool:
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    return name in {"print", "info", "debug", "warning", "log", "format"}


@dataclass(frozen=True)
class Pair:
    """Two names that a statement takes for two modules: one is filled from the other, or (``bound``) made to be it."""

    file: str
    line: int
    first: str
    second: str
    bound: bool = False


def pairs() -> list[Pair]:
    """The statements of the user's code that bring one module in line with another."""
    return [pair for name in _files() for pair in _pairs_in(name)]


@lru_cache(maxsize=MOST_FILES)
def _pairs_in(name: str) -> tuple[Pair, ...]:
    tree = _tree(name)
    if tree is None:
        return ()
    found = list(_brought_in_line(name, tree))
    wanted = {frozenset((pair.first, pair.second)) for pair in found}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            first = ast.unparse(node.targets[0])
            # The other itself, or what a call makes of it: copy.copy(other).
            made_of = [node.value, *(node.value.args if isinstance(node.value, ast.Call) else [])]
            found += [
                Pair(name, node.lineno, first, second, bound=True)
                for second in map(ast.unparse, made_of)
                if frozenset((first, second)) in wanted
            ]
    return tuple(found)


def _brought_in_line(name: str, tree: ast.AST) -> Iterator[Pair]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        if isinstance(node.func, ast.Attribute) and node.func.attr == "load_state_dict":
            first, second = _module_of(node.func, ""), _module_of(node.args[0], "state_dict")
        elif isinstance(node.func, ast.Name) and node.func.id == "zip" and len(node.args) == 2:
            first, second = _module_of(node.args[0], "parameters"), _module_of(node.args[1], "parameters")
        else:
            continue
        if first and second and first != second:
            yield Pair(name, node.lineno, first, second)


def _module_of(node: ast.expr, method: str) -> str:
    """The source of ``X`` in ``X.method()``, or in the bound ``X.load_state_dict``."""
    if method:
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or node.func.attr != method:
            return ""
        node = node.func
    return ast.unparse(node.value) if isinstance(node, ast.Attribute) else ""
