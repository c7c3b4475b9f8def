"""The names that an expression reads values from."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Mapping
from types import FunctionType, MethodType, ModuleType
from typing import Any

from gradflow.location import is_installed
from gradflow.watch.post_mortem.look import MISSING, is_module, look_up, unwrapped

__all__ = ["key_of", "leaves_made_in", "references_in", "way_up"]

_ENDS_CHAIN = frozenset({"data", "indices", "values", "shape", "T", "mT", "grad", "dtype", "device"})
_PACKAGES = frozenset({"torch", "F", "np", "nn", "math", "numpy"})


def references_in(node: ast.expr, names: Mapping[str, Any]) -> list[ast.expr]:
    """Names, and attributes and constant subscripts of names: ``loss``, ``output.loss``, ``kept["layer4"]``.

    Of ``x.exp()`` it is ``x``; of ``self.head(x)`` it is ``self.head`` and ``x`` where the first one is a module or a
    function of the program.
    """
    bound = {
        name.id
        for part in ast.walk(node)
        if isinstance(part, ast.comprehension)
        for name in ast.walk(part.target)
        if isinstance(name, ast.Name)
    }
    found: list[ast.expr] = []
    waiting: list[ast.AST] = [node]
    while waiting:
        one = waiting.pop(0)
        if isinstance(one, ast.Lambda):
            continue
        if isinstance(one, ast.Call):
            waiting[:0] = [*_callee(one.func, names), *one.args, *one.keywords]
        elif isinstance(one, ast.expr) and _is_chain(one):
            if _root(one).id not in bound:
                found.append(one)
        else:
            waiting[:0] = list(ast.iter_child_nodes(one))
    return found


def leaves_made_in(node: ast.expr) -> list[ast.Call]:
    """The calls that make a leaf: ``torch.ones(3, requires_grad=True)``, ``x.requires_grad_()``."""
    return [call for call in ast.walk(node) if isinstance(call, ast.Call) and _makes_leaf(call)]


def _makes_leaf(call: ast.Call) -> bool:
    if isinstance(call.func, ast.Attribute) and call.func.attr == "requires_grad_":
        return not call.args or getattr(call.args[0], "value", None) is True
    return any(one.arg == "requires_grad" and getattr(one.value, "value", None) is True for one in call.keywords)


def _callee(function: ast.expr, names: Mapping[str, Any]) -> list[ast.expr]:
    """What the value of a call depends on besides its arguments: the module called, or the object of the method."""
    if _is_chain(function):
        value = look_up(function, names)
        if is_module(value) or (type in type(value).__mro__ and not hasattr(builtins, function_name(function))):
            return [function]
        if type(value) in (FunctionType, MethodType):
            code = unwrapped(getattr(value, "__func__", value)).__code__
            if not is_installed(code.co_filename):
                return [function]
            if type(value) is MethodType and isinstance(function, ast.Attribute):
                return [function.value]
            return []
    if not isinstance(function, ast.Attribute):
        return [] if isinstance(function, ast.Name) and hasattr(builtins, function.id) else [function]
    owner = look_up(function.value, names) if _is_chain(function.value) else MISSING
    if type(owner) is ModuleType or type in type(owner).__mro__:
        return []
    is_name = owner is MISSING and isinstance(function.value, (ast.Name, ast.Attribute))
    if is_name and ast.unparse(function.value).partition(".")[0] in _PACKAGES:
        return []
    return [function.value]


def function_name(function: ast.expr) -> str:
    """The last name of a chain: ``Linear`` of ``nn.Linear``."""
    return ast.unparse(function).rpartition(".")[2]


def _is_chain(node: ast.AST) -> bool:
    while True:
        match node:
            case ast.Name():
                return True
            case ast.Attribute(value=owner, attr=name) if name not in _ENDS_CHAIN:
                node = owner
            case ast.Subscript(value=owner, slice=ast.Constant(value=str())):
                node = owner
            case _:
                return False


def _root(node: ast.AST) -> ast.Name:
    while not isinstance(node, ast.Name):
        node = node.value  # type: ignore[attr-defined]
    return node


def key_of(reference: ast.expr) -> str:
    """What is assigned to when a reference changes: ``loss`` of ``loss``, ``output`` of ``output.loss``, ``self.x``."""
    node = reference
    while isinstance(node, ast.Subscript):
        node = node.value
    chain = ast.unparse(node).split(".")
    return ".".join(chain[:2]) if chain[0] == "self" else chain[0]


def way_up(node: ast.AST, parents: Mapping[ast.AST, ast.AST]) -> list[tuple[ast.AST, ast.AST]]:
    """Pairs of child and parent from a node to the top."""
    way = []
    while node in parents:
        way.append((node, parents[node]))
        node = parents[node]
    return way
