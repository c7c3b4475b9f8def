"""A value that is kept in a list or dictionary of which other entries are read: the line that chooses them.

``levels = {"p3": p3, "p4": p4}`` and then ``[levels[k] for k in ("p4",)]``: nothing is wrong with ``p3`` itself, the
choice leaves it out.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from dataclasses import dataclass

from gradflow.location import SourceSpan
from gradflow.probe.class_source import parse_file, span_of_node

__all__ = ["LeftOut", "find_left_out"]

_Function = ast.FunctionDef | ast.AsyncFunctionDef
_Literal = ast.Tuple | ast.List | ast.Set


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """Where entries of ``container`` are chosen, and which one is not: ``entry`` is empty where that is not known."""

    span: SourceSpan
    container: str
    entry: str = ""


def find_left_out(span: SourceSpan) -> LeftOut | None:
    """Follow the variable set at ``span`` into a container, and to the one place that chooses what is read of it.

    ``None`` where the variable or the container is used in any other way, or by more than one choice.
    """
    tree = parse_file(span.path)
    scope = _scope(tree, span.line) if tree is not None else None
    if tree is None or scope is None:
        return None
    function, owner = scope
    name = next((target for target, node in _assigned(function) if _covers(node, span.line)), "")
    container, entry = _kept_in(function, name) if name else ("", "")
    places = _choices(function, owner, container or name, entry) if name else []
    if len(places) != 1:
        return None
    inside = span.function if _covers(function, places[0].lineno) else ""
    return LeftOut(span=span_of_node(span.path, places[0], inside), container=container or name, entry=entry)


def _scope(tree: ast.Module, line: int) -> tuple[_Function, ast.ClassDef | None] | None:
    """The innermost function around a line, and the class that it is a method of."""
    found: tuple[_Function, ast.ClassDef | None] | None = None
    for function, owner in _functions(tree):
        if _covers(function, line) and (found is None or function.lineno > found[0].lineno):
            found = function, owner
    return found


@functools.lru_cache(maxsize=32)
def _functions(tree: ast.Module) -> tuple[tuple[_Function, ast.ClassDef | None], ...]:
    """The functions of a file, each with the class that it is a method of."""
    return tuple(
        (child, parent if isinstance(parent, ast.ClassDef) else None)
        for parent in ast.walk(tree)
        for child in ast.iter_child_nodes(parent)
        if isinstance(child, _Function)
    )


def _covers(node: ast.stmt, line: int) -> bool:
    return node.lineno <= line <= (node.end_lineno or node.lineno)


def _assigned(parent: ast.AST) -> Iterator[tuple[str, ast.Assign]]:
    """Plain names and attributes of ``self`` (as ``self.name``) that are set, with the statement."""
    for node in ast.walk(parent):
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            match node.targets[0]:
                case ast.Name(id=name):
                    yield name, node
                case ast.Attribute(value=ast.Name(id="self"), attr=name):
                    yield f"self.{name}", node


def _kept_in(function: _Function, name: str) -> tuple[str, str]:
    """The variable that holds a list or dictionary with ``name`` in it, and under which key; empty without one."""
    for container, node in _assigned(function):
        match node.value:
            case ast.Dict(keys=keys, values=values):
                for key, value in zip(keys, values, strict=True):
                    if key is not None and _is_name(value, name):
                        return container, ast.unparse(key)
            case ast.List(elts=entries) | ast.Tuple(elts=entries):
                for number, value in enumerate(entries):
                    if _is_name(value, name):
                        return container, str(number)
    return "", ""


def _is_name(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _choices(function: _Function, owner: ast.ClassDef | None, container: str, entry: str) -> list[ast.expr | ast.stmt]:
    """The places that decide which entries are read; none where something else is done with the container."""
    parents = {child: parent for parent in ast.walk(function) for child in ast.iter_child_nodes(parent)}
    reads = [node for node in parents if _is_name(node, container) and isinstance(getattr(node, "ctx", None), ast.Load)]
    places: dict[tuple[int, int], ast.expr | ast.stmt] = {}
    for read in reads:
        subscript = parents[read]
        if not isinstance(subscript, ast.Subscript) or subscript.value is not read:
            return []
        place = _decided_at(subscript, parents, function, owner)
        if entry and _names(place, entry):
            return []
        places[place.lineno, place.col_offset] = place
    return list(places.values())


def _names(place: ast.expr | ast.stmt, entry: str) -> bool:
    """Whether a choice written out does read the entry."""
    if isinstance(place, ast.Subscript):
        return ast.unparse(place.slice) == entry
    value = place.value if isinstance(place, ast.Assign) else place
    return isinstance(value, _Literal) and any(ast.unparse(each) == entry for each in value.elts)


def _decided_at(
    subscript: ast.Subscript, parents: dict[ast.AST, ast.AST], function: _Function, owner: ast.ClassDef | None
) -> ast.expr | ast.stmt:
    """The subscript itself, or what the loop goes through that gives its index."""
    if not isinstance(subscript.slice, ast.Name):
        return subscript
    index = subscript.slice.id
    node: ast.AST = subscript
    while node in parents:
        node = parents[node]
        loops = node.generators if isinstance(node, (ast.ListComp, ast.GeneratorExp, ast.DictComp)) else [node]
        for loop in loops:
            if isinstance(loop, (ast.For, ast.comprehension)) and _is_name(loop.target, index):
                return _written_out(loop.iter, function, owner)
    return subscript


def _written_out(choice: ast.expr, function: _Function, owner: ast.ClassDef | None) -> ast.expr | ast.stmt:
    """The statement that gives a variable or an attribute the list that is gone through."""
    text = ast.unparse(choice)
    where = owner if text.startswith("self.") else function
    found = [node for name, node in _assigned(where) if name == text] if where is not None else []
    return found[0] if len(found) == 1 else choice
