"""Which of its arguments a Python function of torch may write to, from its source.

``F.embedding(x, weight, max_norm=1.0)`` is an ordinary call, and changes its weight.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
import types
from collections.abc import Container, Iterator, Mapping
from functools import cache
from typing import Any

from gradflow.torch_facts.operations.queries import changes_argument

__all__ = ["written_arguments"]

_MOST_DEEP = 4
"""So far down are the Python functions read that a function calls."""


def written_arguments(function: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[Any, ...]:
    """What is given for the arguments that a function may write to; nothing for one that is not written in Python."""
    names = _written(function, _MOST_DEEP) if type(function) is types.FunctionType else ()
    if not names:
        return ()
    given = {**dict(zip(function.__code__.co_varnames, args, strict=False)), **kwargs}
    return tuple(given[name] for name in names if name in given)


@cache
def _written(function: types.FunctionType, depth: int) -> tuple[str, ...]:
    code = function.__code__
    inner = {name: function.__globals__.get(name) for name in code.co_names}
    called = {name: one for name, one in inner.items() if type(one) is types.FunctionType and depth}
    if not any(map(changes_argument, code.co_names)) and not any(_written(one, depth - 1) for one in called.values()):
        return ()
    own = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):
        return own  # it is not known which
    modules = {name for name, one in inner.items() if type(one) is types.ModuleType}
    found = {
        name for node in ast.walk(tree) if isinstance(node, ast.Call) for name in _roots(node, called, modules, depth)
    }
    return tuple(name for name in own if name in found)


def _roots(call: ast.Call, called: Mapping[str, Any], modules: Container[str], depth: int) -> Iterator[str]:
    """The variables that a call writes to, or to views and aliases of which."""
    match call.func:
        case ast.Name(id=name) if name in called:
            written, order = _written(called[name], depth - 1), called[name].__code__.co_varnames
            given = [*zip(order, call.args, strict=False), *((one.arg, one.value) for one in call.keywords)]
            yield from (_root(argument) for parameter, argument in given if parameter in written)
        case ast.Attribute(attr=name, value=owner) if changes_argument(name):
            of_module = isinstance(owner, ast.Name) and owner.id in modules  # `torch.relu_(x)`, not `x.relu_()`
            yield from map(_root, call.args[:1] if of_module else (owner,))
        case ast.Name(id=name) if changes_argument(name):
            yield from map(_root, call.args[:1])


def _root(node: ast.expr) -> str:
    while isinstance(node, (ast.Attribute, ast.Subscript, ast.Call)):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""
