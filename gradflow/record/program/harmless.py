"""Whether a custom ``autograd.Function`` may be called again after the program has ended: reads its source.

Only what is seen to work on its arguments alone may: torch's own operations, mathematics, and functions of the program
of which the same holds. Where it keeps something on a plain object, it is given one of its own. Whatever prints,
counts, writes, communicates, draws on the program's objects, loops until something holds, or cannot be read is left
alone.
"""

from __future__ import annotations

import ast
import builtins
import functools
import inspect
import textwrap
from collections.abc import Mapping
from types import BuiltinFunctionType, FunctionType, MappingProxyType, ModuleType
from typing import Any

import torch

from gradflow.location import is_installed
from gradflow.record.program.functions.own_state import METHODS, kept_attributes, object_named

__all__ = ["is_harmless"]

_MODULES = ("torch", "math", "cmath", "numpy")
_NOT_OF_TORCH = (
    "save", "load", "set_", "manual_seed", "seed", "distributed", "ops", "_C", "_dynamo", "hub", "multiprocessing",
    "compile", "jit", "utils", "cuda", "library", "profiler", "from_file", "tofile", "random",
)  # fmt: skip
_BUILTINS = frozenset({
    "abs", "all", "any", "bool", "dict", "enumerate", "float", "getattr", "hasattr", "int", "isinstance", "len", "list",
    "max", "min", "pow", "range", "reversed", "round", "slice", "sorted", "sum", "tuple", "zip", "NotImplementedError",
    "ValueError", "RuntimeError", "TypeError", "AssertionError", "complex", "set", "map", "staticmethod",
})  # fmt: skip
_METHODS_REFUSED = frozenset({"backward", "register_hook", "share_memory_", "numpy", "tofile", "data_ptr", "set_"})
_PLAIN = (int, float, complex, str, bytes, bool, type(None), torch.dtype, torch.device, torch.memory_format, torch.Size)


@functools.lru_cache(maxsize=256)
def is_harmless(cls: type) -> bool:
    """Whether ``forward``, ``setup_context`` and ``backward`` of a Function work on their arguments alone.

    Not where that is not known, as of helpers that call one another deeper than Python itself would.
    """
    try:
        return _is_harmless_class(cls, {}, kept_attributes(cls))
    except RecursionError:
        return False


_Known = dict[Any, bool]
"""What was found of functions and classes. One that is being read is not known to be: what calls itself may go on."""


def _is_harmless_class(cls: type, known: _Known, kept: Mapping[int, frozenset[str]] = MappingProxyType({})) -> bool:
    if cls not in known:
        known[cls] = False
        known[cls] = _works_on_its_arguments(cls, known, kept)
    return known[cls]


def _works_on_its_arguments(cls: type, known: _Known, kept: Mapping[int, frozenset[str]]) -> bool:
    for name in METHODS:
        function = inspect.getattr_static(cls, name, None)
        function = getattr(function, "__func__", function)
        if not isinstance(function, FunctionType):
            return False
        if str(function.__module__).partition(".")[0] != "torch" and not _is_harmless_function(function, known, kept):
            return False
    return True


def _is_harmless_function(
    function: FunctionType, known: _Known, kept: Mapping[int, frozenset[str]] = MappingProxyType({})
) -> bool:
    if function not in known:
        known[function] = False
        known[function] = _is_read_as_harmless(function, known, kept)
    return known[function]


def _is_read_as_harmless(function: FunctionType, known: _Known, kept: Mapping[int, frozenset[str]]) -> bool:
    plain = inspect.unwrap(function)
    if not isinstance(plain, FunctionType) or is_installed(plain.__code__.co_filename):
        return False
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(plain.__code__))).body[0]
    except (OSError, SyntaxError, IndexError, TypeError):
        return False
    return (
        isinstance(tree, ast.FunctionDef)
        and _Reader(plain, tree, known, kept if plain is function else {}).is_harmless()
    )


class _Reader:
    """One function: its names, and what it does with them."""

    def __init__(
        self, function: FunctionType, tree: ast.FunctionDef, known: _Known, kept: Mapping[int, frozenset[str]]
    ) -> None:
        code = function.__code__
        self._tree = tree
        self._known = known
        inner = (node for node in ast.walk(tree) if isinstance(node, ast.comprehension))
        arguments = (node for node in ast.walk(tree) if isinstance(node, ast.arg))
        self._local = {
            *code.co_varnames,
            *code.co_cellvars,
            *(name.id for part in inner for name in ast.walk(part.target) if isinstance(name, ast.Name)),
            *(argument.arg for argument in arguments),
        }
        cells = zip(code.co_freevars, function.__closure__ or (), strict=False)
        self._closed = {name: cell.cell_contents for name, cell in cells}
        self._globals = function.__globals__
        # the names in `name.attribute` that stand for an object of its own when it is called again
        self._holders = {
            node.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id not in self._local
            and node.attr in kept.get(id(object_named(function, node.value.id)), ())
        }
        self._first = code.co_varnames[0] if code.co_argcount else ""

    def is_harmless(self) -> bool:
        parts = [*self._tree.body, *self._tree.decorator_list, *self._tree.args.defaults]
        return all(self._is_of_holder(node) or self._allows(node) for part in parts for node in ast.walk(part))

    def _is_of_holder(self, node: ast.AST) -> bool:
        """Whether it reads or sets what is kept on an object that it is given one of its own for."""
        is_kept = isinstance(node, ast.Attribute) and node.value in self._holders
        return node in self._holders or (is_kept and not isinstance(getattr(node, "ctx", None), ast.Del))

    def _allows(self, node: ast.AST) -> bool:
        match node:
            case ast.Global() | ast.Nonlocal() | ast.Import() | ast.ImportFrom() | ast.Await() | ast.Yield():
                return False
            case ast.YieldFrom() | ast.AsyncFunctionDef() | ast.ClassDef() | ast.While():
                return False
            case ast.Attribute(ctx=ast.Store() | ast.Del()):
                return isinstance(node.value, ast.Name) and node.value.id == self._first
            case ast.Subscript(ctx=ast.Store() | ast.Del()):
                return _root(node) in self._local
            case ast.Name(ctx=ast.Load()) if node.id not in self._local:
                return self._is_known(self._value_of(node.id))
            case ast.Attribute(ctx=ast.Load(), attr=name):
                return not name.startswith("__") and self._may_read(node)
            case ast.Call(func=ast.Name(id=name)):
                return name not in self._local
            case ast.Call(func=ast.Attribute(attr=name)):
                return name not in _METHODS_REFUSED
            case ast.Call():
                return False
        return True

    def _may_read(self, node: ast.Attribute) -> bool:
        """Of modules and classes, only what is known; of tensors and the context, anything."""
        path = []
        value: ast.expr = node
        while isinstance(value, ast.Attribute):
            path.append(value.attr)
            value = value.value
        if not isinstance(value, ast.Name) or value.id in self._local or value in self._holders:
            return True
        held = self._value_of(value.id)
        if isinstance(held, ModuleType):
            return not any(part.startswith(_NOT_OF_TORCH) for part in path)
        if isinstance(held, type) and issubclass(held, torch.autograd.Function):
            return path == ["apply"]
        return isinstance(held, _PLAIN) or _is_of_torch(held)

    def _value_of(self, name: str) -> Any:
        if name in self._closed:
            return self._closed[name]
        if name in self._globals:
            return self._globals[name]
        return getattr(builtins, name, self) if name in _BUILTINS else self

    def _is_known(self, value: Any) -> bool:
        if isinstance(value, ModuleType):
            return value.__name__.partition(".")[0] in _MODULES and not any(
                part.startswith(_NOT_OF_TORCH) for part in value.__name__.split(".")[1:]
            )
        if isinstance(value, type) and issubclass(value, torch.autograd.Function):
            return _is_harmless_class(value, self._known)
        if isinstance(value, _PLAIN) or _is_of_torch(value):
            return True
        if isinstance(value, tuple):
            return all(map(self._is_known, value))
        if isinstance(value, FunctionType):
            return _is_harmless_function(value, self._known)
        is_plain = issubclass(type(value), (type, BuiltinFunctionType))
        return is_plain and value.__module__ == "builtins" and value.__name__ in _BUILTINS


def _is_of_torch(value: Any) -> bool:
    """A function or class of torch or of the mathematics, by whatever name it was imported."""
    is_function = issubclass(type(value), (type, FunctionType, BuiltinFunctionType))
    # any other object of the program may do anything when it is asked for an attribute
    if not is_function and not (callable(value) and type(value).__module__.startswith(_MODULES)):
        return False
    module = str(getattr(value, "__module__", "") or "")
    name = str(getattr(value, "__name__", "") or "")
    parts = module.split(".")
    return (
        parts[0] in _MODULES
        and not any(part.startswith(_NOT_OF_TORCH) for part in (*(p for p in parts[1:] if p != "_C"), name))
        and not isinstance(value, torch.nn.Module)
    )


def _root(node: ast.expr) -> str:
    while isinstance(node, (ast.Subscript, ast.Attribute)):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""
