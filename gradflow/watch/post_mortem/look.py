"""Looks at the variables of a frame without running any of the program's code: no property, no ``__getattr__``."""

from __future__ import annotations

import ast
import contextlib
import inspect
import sys
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from types import FrameType, FunctionType, MethodType, ModuleType
from typing import Any, Final

import torch

__all__ = ["MISSING", "is_module", "is_tensor", "look_up", "of_attribute", "unwrapped", "variables_of"]

MISSING: Final = object()
"""What a name stands for where that cannot be told without running code."""

_MODULE_ITEMS = (
    torch.nn.Sequential.__getitem__,
    torch.nn.ModuleList.__getitem__,
    torch.nn.ModuleDict.__getitem__,
)
_PLAIN = (list, tuple, dict, OrderedDict)


@contextlib.contextmanager
def variables_of(frame: FrameType) -> Iterator[Mapping[str, Any]]:
    """The local variables of a frame; nothing of it stays alive because of this.

    Before Python 3.13 a frame that was asked for its variables keeps a copy of them until it ends.
    """
    found = frame.f_locals
    is_copied = sys.version_info < (3, 13) and bool(frame.f_code.co_flags & inspect.CO_OPTIMIZED)
    # where the program holds that copy too, it once called `locals()`, and the copy is the program's
    is_ours = is_copied and sys.getrefcount(found) <= _HELD_BY_FRAME_AND_US
    try:
        yield found
    finally:
        if is_ours:
            found.clear()


_HELD_BY_FRAME_AND_US = 3
"""Counted with the reference that counting takes."""


def is_tensor(value: object) -> bool:
    """Like ``isinstance``, which may run code of the object that it is asked about."""
    return torch.Tensor in type(value).__mro__


def is_module(value: object) -> bool:
    """Like ``isinstance``, which may run code of the object that it is asked about."""
    return torch.nn.Module in type(value).__mro__


def unwrapped(function: Any) -> Any:
    """The function inside decorators that say what they wrap, as ``torch.no_grad()`` does."""
    while type(function) is FunctionType and type(function.__dict__.get("__wrapped__")) is FunctionType:
        function = function.__dict__["__wrapped__"]
    return function


def look_up(node: ast.expr, names: Mapping[str, Any]) -> Any:
    """What an expression of names, attributes and constant subscripts stands for, else :data:`MISSING`."""
    match node:
        case ast.Name(id=name):
            return names.get(name, MISSING)
        case ast.Attribute(value=owner, attr=attribute):
            found = look_up(owner, names)
            return MISSING if found is MISSING else of_attribute(found, attribute)
        case ast.Subscript(value=owner, slice=index):
            return _of_item(look_up(owner, names), index, names)
    return MISSING


def of_attribute(owner: Any, name: str) -> Any:
    """An attribute that lies in the object itself or is a method of its class."""
    if is_tensor(owner):
        return MISSING
    try:
        own = object.__getattribute__(owner, "__dict__") if type not in type(owner).__mro__ else {}
    except AttributeError:
        own = {}
    in_class = next((vars(cls)[name] for cls in _order(owner) if name in vars(cls)), MISSING)
    if hasattr(type(in_class), "__set__"):  # a property or slot decides, whatever the object holds
        return MISSING
    if type(own) is dict and name in own:
        return own[name]
    if is_module(owner):
        for kind in ("_parameters", "_buffers", "_modules"):
            held = own.get(kind)
            if isinstance(held, dict) and name in held:
                return held[name]
    if type(in_class) is FunctionType:
        return in_class if type in type(owner).__mro__ else MethodType(in_class, owner)
    return in_class.__func__ if isinstance(in_class, (staticmethod, classmethod)) else MISSING


def _order(owner: Any) -> tuple[type, ...]:
    if type in type(owner).__mro__:
        return type.__getattribute__(owner, "__mro__")  # type: ignore[no-any-return]
    return () if type(owner) is ModuleType else type(owner).__mro__


def _of_item(owner: Any, index: ast.expr, names: Mapping[str, Any]) -> Any:
    key = index.value if isinstance(index, ast.Constant) else look_up(index, names)
    match index:
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int(number))):
            key = -number
    if is_module(owner) and getattr(type(owner), "__getitem__", None) in _MODULE_ITEMS and type(key) in (int, str):
        modules = object.__getattribute__(owner, "__dict__")["_modules"]
        owner = modules if type(key) is str else list(modules.values())
    if type(owner) not in _PLAIN or type(key) not in (int, str):
        return MISSING
    try:
        return owner[key]
    except (LookupError, TypeError):
        return MISSING
