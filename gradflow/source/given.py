"""What the call of a function gave for one of its arguments: a line that uses an argument, and where that was made."""

from __future__ import annotations

import ast

from gradflow.location import SourceSpan
from gradflow.source.class_source import parse_file

__all__ = ["given_for"]

_Function = ast.FunctionDef | ast.AsyncFunctionDef


def given_for(span: SourceSpan, name: str, call: ast.expr | None) -> ast.expr | None:
    """The expression that ``call`` gives for the argument ``name`` of the function around a place.

    ``None`` where the name is no argument of it, where something sets it again before the place, and where the call is
    not written as one of that function.
    """
    tree = parse_file(span.path)
    function = _innermost(tree, span.line) if tree is not None else None
    if function is None or not isinstance(call, ast.Call) or _is_set_before(function, name, span.line):
        return None
    names = [each.arg for each in (*function.args.posonlyargs, *function.args.args)]
    match call.func:
        case ast.Name(id=called) | ast.Attribute(attr=called) if called != function.name:
            return None
        case ast.Attribute() if names and _is_method(tree, function):
            names = names[1:]  # the object itself
        case ast.Name() | ast.Attribute():
            pass
        case _:
            return None
    if name in names and names.index(name) < len(call.args):
        before = call.args[: names.index(name) + 1]
        return None if any(isinstance(each, ast.Starred) for each in before) else before[-1]
    return next((each.value for each in call.keywords if each.arg == name), None)


def _innermost(tree: ast.Module, line: int) -> _Function | None:
    around = [
        node for node in ast.walk(tree) if isinstance(node, _Function) and node.lineno <= line <= (node.end_lineno or 0)
    ]
    return max(around, key=lambda node: node.lineno, default=None)


def _is_method(tree: ast.Module | None, function: _Function) -> bool:
    classes = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)] if tree is not None else []
    return any(function in each.body for each in classes) and not any(
        isinstance(each, ast.Name) and each.id == "staticmethod" for each in function.decorator_list
    )


def _is_set_before(function: _Function, name: str, line: int) -> bool:
    return any(
        isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Store) and node.lineno < line
        for node in ast.walk(function)
    )
