"""A custom ``autograd.Function`` that keeps what it was given on an object of the program, not on its context.

To call it again would change that object. So it is called with another one in its place, which is empty to begin with:
what it reads there it must have written itself.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator
from types import CellType, FunctionType, SimpleNamespace
from typing import Any

from torch.autograd import Function

__all__ = ["METHODS", "kept_attributes", "object_named", "with_own_state"]

METHODS = ("forward", "setup_context", "backward", "vjp")


def with_own_state(cls: type) -> type:
    """The same Function, with an object of its own for each one on which it keeps something."""
    own: dict[int, Any] = {holder: SimpleNamespace() for holder in kept_attributes(cls)}
    if not own:
        return cls
    methods = {name: staticmethod(_rebound(function, own)) for name, function in _methods(cls)}
    return type(cls)(cls.__name__, (cls,), {**methods, "__module__": cls.__module__, "__qualname__": cls.__qualname__})


def kept_attributes(cls: type) -> dict[int, frozenset[str]]:
    """By the ``id`` of each plain object outside: the attributes that the Function sets on it."""
    found: dict[int, frozenset[str]] = {}
    for _, function in _methods(cls):
        for name, attribute in _stored(function):
            holder = object_named(function, name)
            if _is_plain(holder, attribute):
                found[id(holder)] = found.get(id(holder), frozenset()) | {attribute}
    return found


def object_named(function: FunctionType, name: str) -> Any:
    """What a name that is not a local one means in a function; ``None`` where it means nothing yet."""
    for cell_name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=False):
        if cell_name == name:
            return _contents(cell)
    return function.__globals__.get(name)


def _methods(cls: type) -> Iterator[tuple[str, FunctionType]]:
    """The methods of its own; without those that a decorator has wrapped, in which names cannot be exchanged."""
    for name in METHODS:
        function = inspect.getattr_static(cls, name, None)
        function = getattr(function, "__func__", function)
        is_own = isinstance(function, FunctionType) and str(function.__module__).partition(".")[0] != "torch"
        if is_own and not hasattr(function, "__wrapped__"):
            yield name, function


def _stored(function: FunctionType) -> Iterator[tuple[str, str]]:
    """Pairs (name, attribute) of ``name.attribute = ...`` where the name is not a local one."""
    code = function.__code__
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(code)))
    except (OSError, SyntaxError, TypeError):
        return
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name(id=name), attr=attribute, ctx=ast.Store()):
                if name not in (*code.co_varnames, *code.co_cellvars):
                    yield name, attribute


def _is_plain(holder: Any, attribute: str) -> bool:
    """Whether setting the attribute only keeps the value, and nothing of the program runs."""
    kind = type(holder)
    if issubclass(kind, type):
        # the class of classes, and that of Functions
        return kind in (type, type(Function)) and not attribute.startswith("__")
    setting = inspect.getattr_static(kind, "__setattr__")
    is_ordinary = (
        setting in (vars(object)["__setattr__"], vars(SimpleNamespace).get("__setattr__"))
        and kind.__module__.partition(".")[0] != "torch"
    )
    is_free = inspect.getattr_static(kind, attribute, None) is None and not attribute.startswith("__")
    return is_ordinary and is_free and holder is not None


def _rebound(function: FunctionType, own: dict[int, Any]) -> FunctionType:
    """A function of the same code that sees other objects under the names of some."""
    names = {**function.__globals__}
    for name, value in function.__globals__.items():
        names[name] = own.get(id(value), value)
    cells = tuple(_exchanged(cell, own) for cell in function.__closure__ or ())
    made = FunctionType(function.__code__, names, function.__name__, function.__defaults__, cells or None)
    made.__kwdefaults__ = function.__kwdefaults__
    made.__module__, made.__qualname__ = function.__module__, function.__qualname__
    return made


def _exchanged(cell: CellType, own: dict[int, Any]) -> CellType:
    value = _contents(cell)
    return CellType(own[id(value)]) if id(value) in own else cell


def _contents(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not assigned yet
        return None
