"""Running a user's model once more so that nothing of the user's changes.

Random states are restored, parameters and buffers are copies, what else a module holds is copied
for the time being. Where a forward may reach further (it writes globals, prints, holds what
cannot be copied) it is not run at all.
"""

from __future__ import annotations

import copy
import dis
import random
import sys
import types
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.modules import module as hooks_of_torch

from stepscope.observe.thorough.modes import keeps_statistics

if TYPE_CHECKING:
    from collections.abc import Callable

#: Names in the code of a forward that say it does more than compute.
_EFFECTS = {
    *("print", "open", "exec", "eval", "globals", "setattr", "dump", "sleep", "Thread"),
    *("dist", "distributed", "all_reduce", "all_gather", "broadcast", "barrier"),
    *("wandb", "writer", "add_scalar", "logging", "log_dict"),
    *("backward", "zero_grad", "register_hook", "register_buffer", "register_parameter", "add_module"),
}
#: Names that say a container is changed in place.
_CHANGES = {
    *("append", "extend", "insert", "add", "update", "setdefault", "pop", "popleft", "appendleft", "clear", "remove"),
    *("put", "write"),
}
_GENERATORS = (torch.Generator, random.Random)
_PLAIN = (int, float, str, bytes, bool, complex, type(None), type, torch.dtype, torch.device, torch.Size)
_FUNCTIONS = (types.FunctionType, types.BuiltinFunctionType, types.MethodType, types.ModuleType)
_MOST_THINGS = 5000
#: Packages whose forwards are known to compute only, and whose objects a forward only reads.
_KNOWN = {"torch", "transformers", "lightning", "pytorch_lightning", "lightning_fabric", "accelerate"}
#: What a module holds for torch's own sake, and what the copies of parameters and buffers replace.
_PARTS = ("_parameters", "_buffers", "_modules")
_OF_TORCH = frozenset(nn.Module().__dict__) - {"training"}


class Unfit(Exception):  # noqa: N818  # no error: a reason to leave a model alone
    """This model is not to be run again."""


def check_fit(root: nn.Module) -> None:
    """Raise :class:`Unfit` where running ``root`` once more might be noticed."""
    if hooks_of_torch._global_forward_hooks or hooks_of_torch._global_forward_pre_hooks:
        raise Unfit("hooks")
    seen: set[type] = set()
    for module in root.modules():
        if module._forward_hooks or module._forward_pre_hooks or "forward" in vars(module):
            raise Unfit("hooks")
        if type(module) not in seen:
            seen.add(type(module))
            _check_code(type(module))
            _check_class(type(module))
    for tensor in (*root.parameters(), *root.buffers()):
        if type(tensor) not in {Tensor, nn.Parameter, nn.Buffer} or tensor.is_inference():
            raise Unfit("tensors of another kind")


def _check_code(kind: type) -> None:
    """Follow ``forward`` through the methods and functions that it names."""
    if _top(kind) in _KNOWN:
        return
    waiting, seen = [getattr(kind, "forward", None)], set()
    while waiting:
        function = waiting.pop()
        function = getattr(function, "__wrapped__", function)
        if not isinstance(function, types.FunctionType) or function.__code__ in seen:
            continue
        if _top(function) in {*_KNOWN, "stepscope"}:
            continue
        seen.add(function.__code__)
        for code in _codes(function.__code__):
            waiting += _named_in(code, function, kind)
        for cell in function.__closure__ or ():
            if not _harmless(cell.cell_contents):
                raise Unfit("closure")


def _check_class(kind: type) -> None:
    """A class of the user's that holds a container for all its instances may collect something in it."""
    for owner in kind.__mro__:
        if _top(owner) in {*_KNOWN, "builtins"}:
            continue
        if any(isinstance(v, (list, dict, set)) for name, v in vars(owner).items() if not name.startswith("_")):
            raise Unfit("a container of the class")


def _named_in(code: types.CodeType, function: types.FunctionType, kind: type) -> list[Any]:
    """The functions and methods that ``code`` names; :class:`Unfit` where it names more than that."""
    names = set(code.co_names)
    done = {instruction.opname for instruction in dis.get_instructions(code)}
    if _EFFECTS & names or {"STORE_GLOBAL", "DELETE_GLOBAL"} & done:
        raise Unfit("effects")
    changes = bool(_CHANGES & names) or "STORE_SUBSCR" in done
    found = [getattr(kind, name, None) for name in names]
    for instruction in dis.get_instructions(code):
        if instruction.opname == "LOAD_GLOBAL":
            known = function.__globals__.get(instruction.argval)
            found.append(known)
            if not _harmless(known) or (changes and _moves(known)):
                raise Unfit(f"global {instruction.argval}")
    return found


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes(constant)


def _harmless(value: Any, depth: int = 0) -> bool:
    """Whether a global can be thought to stay as it is: constants, functions, tensors, settings made of them."""
    if isinstance(value, (*_PLAIN, *_FUNCTIONS, Tensor, range)):
        return True
    if depth > 3 or isinstance(value, (*_GENERATORS, nn.Module, Iterator)):
        return False
    if isinstance(value, (tuple, frozenset, list)):
        return len(value) > 0 and all(_harmless(item, depth + 1) for item in list(value)[:64])
    if isinstance(value, Mapping):
        return len(value) > 0 and all(_harmless(item, depth + 1) for item in list(value.values())[:64])
    state = getattr(value, "__dict__", None)
    return state is not None and all(_harmless(item, depth + 1) for item in state.values())


@contextmanager
def own_random_state() -> Iterator[Callable[[], None]]:
    """Restore all random states afterwards; what is yielded sets them back to where they were before."""
    states = _random_states()
    try:
        yield lambda: _restore_random(states)
    finally:
        _restore_random(states)


def _random_states() -> tuple[Any, ...]:
    on_gpu = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else None
    numpy = sys.modules.get("numpy.random")
    return torch.get_rng_state(), on_gpu, random.getstate(), None if numpy is None else numpy.get_state()


def _restore_random(states: tuple[Any, ...]) -> None:
    on_host, on_gpu, python, numpy = states
    torch.set_rng_state(on_host)
    if on_gpu is not None:
        torch.cuda.set_rng_state_all(on_gpu)
    random.setstate(python)
    if numpy is not None:
        sys.modules["numpy.random"].set_state(numpy)


class Isolated:
    """A module that is run on copies. Nothing that a forward changes reaches the user's objects."""

    def __init__(self, root: nn.Module) -> None:
        """Copy what ``root`` holds; raises :class:`Unfit` where that cannot be done."""
        check_fit(root)
        self._root = root
        named = (*root.named_parameters(), *root.named_buffers())
        self._tensors = {name: tensor.detach().clone() for name, tensor in named}
        memo: dict[int, Any] = {}
        for module in root.modules():
            memo[id(module)] = module
        for tensor in (*root.parameters(), *root.buffers()):
            memo[id(tensor)] = tensor
        self._memo = memo
        self._held = {module: dict(module.__dict__) for module in root.modules()}
        self._parts = [dict(held[name]) for held in self._held.values() for name in _PARTS]
        self._classes = {kind: dict(vars(kind)) for kind in {type(module) for module in self._held}}
        count = 0
        for held in self._held.values():
            for name, value in held.items():
                if name not in _OF_TORCH:
                    count += _size(value, memo, _MOST_THINGS - count)
        if count > _MOST_THINGS:
            raise Unfit("too much state")

    def run(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call the module once, on fresh copies."""
        copies = self._copies()
        with ExitStack() as stack:
            stack.callback(self._put_back)
            for module, state in copies.items():
                module.__dict__.update(state)
            for module in self._held:
                if keeps_statistics(module):
                    module.__dict__["training"] = False  # batch norm mixes samples on purpose
            tensors = {name: tensor.clone() for name, tensor in self._tensors.items()}
            return torch.func.functional_call(self._root, tensors, args, kwargs)

    def _put_back(self) -> None:
        parts = iter(self._parts)
        for module, held in self._held.items():
            _restore(module.__dict__, held)
            for name in _PARTS:
                _restore(held[name], next(parts))
        for kind, held in self._classes.items():
            for name, value in held.items():
                if vars(kind).get(name) is not value:
                    setattr(kind, name, value)

    def _copies(self) -> dict[nn.Module, dict[str, Any]]:
        memo = dict(self._memo)
        try:
            return {
                module: {
                    name: copy.deepcopy(v, memo) for name, v in held.items() if name not in _OF_TORCH and _moves(v)
                }
                for module, held in self._held.items()
            }
        except Exception as error:
            raise Unfit("state that cannot be copied") from error


def _moves(value: Any) -> bool:
    """Whether a forward could change ``value`` in place."""
    return not isinstance(value, (*_PLAIN, *_FUNCTIONS)) and (
        isinstance(value, (Tensor, nn.Module, *_GENERATORS)) or _top(type(value)) not in _KNOWN
    )


def _top(thing: Any) -> str:
    """The package that a class or a function comes from."""
    return str(getattr(thing, "__module__", "")).partition(".")[0]


def _restore(state: dict[str, Any], held: dict[str, Any]) -> None:
    if state.keys() != held.keys() or any(state[name] is not value for name, value in held.items()):
        state.clear()
        state.update(held)


def _size(value: Any, memo: dict[int, Any], most: int) -> int:
    """Count the things that copying ``value`` would copy; what belongs to an installed package is too deep."""
    waiting, seen, count = [value], set(memo), 0
    while waiting and count <= most:
        one = waiting.pop()
        if id(one) in seen or not _moves(one):
            continue
        seen.add(id(one))
        count += 1
        if isinstance(one, Tensor):
            if one.grad_fn is not None or one.numel() > 1 << 22:
                raise Unfit("a tensor that is kept")
        elif isinstance(one, nn.Module):
            raise Unfit("an unregistered module")
        elif isinstance(one, Mapping):
            waiting += [*one.keys(), *one.values()]
        elif isinstance(one, (list, tuple, set, frozenset)):
            waiting += list(one)
        else:
            if isinstance(one, (*_GENERATORS, Iterator)):
                raise Unfit("a generator")
            waiting += list(getattr(one, "__dict__", {}).values())
    return count
