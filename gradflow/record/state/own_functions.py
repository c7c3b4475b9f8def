"""The user's own functions, and what they use of the modules that they stand in."""

from __future__ import annotations

import dis
import functools
import types
from collections.abc import Iterator
from functools import cached_property
from typing import Any

from gradflow.attributes import attributes_of
from gradflow.location import is_installed

__all__ = ["functions_of", "globals_of", "globals_set_in", "is_own_cache", "is_own_function"]

_CACHE: type = type(functools.lru_cache(lambda: None))
_STORE_GLOBAL = dis.opmap["STORE_GLOBAL"]


def is_own_function(value: object) -> bool:
    """Whether it is a function of the user's own files."""
    return type(value) is types.FunctionType and not is_installed(value.__code__.co_filename)


def is_own_cache(value: Any) -> bool:
    """Whether it is a function of the user's own files behind ``functools.lru_cache`` or ``functools.cache``."""
    return type(value) is _CACHE and is_own_function(attributes_of(value).get("__wrapped__"))


def functions_of(cls: type) -> Iterator[Any]:
    """The functions that a class itself defines, out of what wraps them."""
    for value in attributes_of(cls).values():
        kind = type(value)
        if kind is types.FunctionType or kind is _CACHE:
            yield value
        elif issubclass(kind, (staticmethod, classmethod)):
            yield value.__func__
        elif issubclass(kind, property):
            yield from (one for one in (value.fget, value.fset, value.fdel) if one is not None)
        elif issubclass(kind, (cached_property, functools.partialmethod)):
            yield value.func


def globals_of(function: types.FunctionType) -> Iterator[Any]:
    """The values of the globals that a function names, also of other modules of the user's, as ``tables.cache``."""
    names = _names_in(function.__code__)
    for name in names:
        value = function.__globals__.get(name)
        if type(value) is not types.ModuleType:
            yield value
            continue
        held = attributes_of(value)
        path = held.get("__file__")
        if type(path) is str and not is_installed(path):
            yield from (held[inner] for inner in names if inner in held)


def globals_set_in(code: types.CodeType) -> Iterator[str]:
    """The global variables that code sets itself, by ``global``."""
    if _STORE_GLOBAL in code.co_code[::2]:
        yield from (one.argval for one in dis.get_instructions(code) if one.opcode == _STORE_GLOBAL)
    for constant in code.co_consts:
        if type(constant) is types.CodeType:
            yield from globals_set_in(constant)


def _names_in(code: types.CodeType) -> frozenset[str]:
    """The names that code uses other than its own variables, with those of the functions that it defines inside."""
    names = set(code.co_names)
    for constant in code.co_consts:
        if type(constant) is types.CodeType:
            names |= _names_in(constant)
    return frozenset(names)
