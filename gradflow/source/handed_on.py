"""What the calls in a method hand to other functions, and which functions those are; nothing of the program is run."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from types import FunctionType, ModuleType

from gradflow.location import is_machinery

__all__ = ["arguments_of", "called_function"]


def called_function(call: ast.Call, caller: FunctionType) -> FunctionType | None:
    """The function of the program's own that a call in another one runs.

    ``None`` where only a run could tell, and for torch's own functions.
    """
    found = _meaning(call.func, caller)
    found = inspect.unwrap(found) if isinstance(found, FunctionType) else None
    is_own = isinstance(found, FunctionType) and not is_machinery(found.__code__.co_filename)
    return found if isinstance(found, FunctionType) and is_own else None


def arguments_of(call: ast.Call, function: FunctionType, *, is_bound: bool) -> Iterator[tuple[str, ast.expr]]:
    """The arguments of a function and what a call gives for them, as far as the call tells."""
    code = function.__code__
    names = code.co_varnames[int(is_bound) : code.co_argcount]
    for name, value in zip(names, call.args, strict=False):
        if isinstance(value, ast.Starred):
            break
        yield name, value
    by_name = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    yield from ((each.arg, each.value) for each in call.keywords if each.arg in by_name)


def _meaning(node: ast.expr, function: FunctionType) -> object:
    """What a name, or an attribute of a module or class, means in a function; ``None`` where that is not known."""
    match node:
        case ast.Name(id=name):
            return _named(name, function)
        case ast.Attribute(value=value, attr=name):
            owner = _meaning(value, function)
            found = inspect.getattr_static(owner, name, None) if isinstance(owner, ModuleType | type) else None
            return found.__func__ if isinstance(found, staticmethod) else found
        case _:
            return None


def _named(name: str, function: FunctionType) -> object:
    code = function.__code__
    if name in code.co_freevars:
        cell = (function.__closure__ or ())[code.co_freevars.index(name)]
        try:
            return cell.cell_contents
        except ValueError:  # not set yet
            return None
    if name in (*code.co_varnames, *code.co_cellvars):
        return None
    return function.__globals__.get(name)
