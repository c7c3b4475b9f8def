"""A value that is kept in a list or dictionary of which other entries are read: the line that chooses them.

``levels = {"p3": p3, "p4": p4}`` and then ``[levels[k] for k in ("p4",)]``: nothing is wrong with ``p3`` itself, the
choice leaves it out.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from gradflow.location import SourceSpan
from gradflow.source.class_source import parse_file, span_of_node

__all__ = ["LeftOut", "find_left_out"]

_Function = ast.FunctionDef | ast.AsyncFunctionDef
_Literal = ast.Tuple | ast.List | ast.Set


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """Where entries of ``container`` are chosen, and which one is not: ``entry`` is empty where that is not known."""

    span: SourceSpan
    container: str
    entry: str = ""


def find_left_out(span: SourceSpan, files: Iterable[str] = ()) -> LeftOut | None:
    """Follow the variable set at ``span`` into a container, and to the one place that chooses what is read of it.

    ``files`` are those of the program, in which functions may stand that the container is handed to. ``None`` where
    the variable or the container is used in any other way, or by more than one choice.
    """
    tree = parse_file(span.path)
    scope = _scope(tree, span) if tree is not None else None
    if tree is None or scope is None:
        return None
    name = next((target for target, node in _assigned(scope.function) if _covers(node, span.line)), "")
    container, entry = _kept_in(scope.function, name) if name else ("", "")
    if not name or _is_read_elsewhere(tree, scope.function, container or name):
        return None
    places = _choices(scope, container or name, entry, [span.path, *files])
    if len(places) != 1:
        return None
    path, place = places[0]
    inside = span.function if path == span.path and _covers(scope.function, place.lineno) else ""
    return LeftOut(span=span_of_node(path, place, inside), container=container or name, entry=entry)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scope:
    """A function, the class whose module it works on, and the argument in which it has that module.

    ``handed`` is the call that hands the container to it, with the scope of that call.
    """

    path: str
    function: _Function
    owner: ast.ClassDef | None
    self_name: str
    handed: tuple[_Scope, ast.Call] | None = None

    def parents(self) -> dict[ast.AST, ast.AST]:
        """For each node of the function the one around it."""
        return {child: parent for parent in ast.walk(self.function) for child in ast.iter_child_nodes(parent)}


def _scope(tree: ast.Module, span: SourceSpan) -> _Scope | None:
    """The innermost function around a line, and the class that it is a method of."""
    found: tuple[_Function, ast.ClassDef | None] | None = None
    for function, owner in _functions(tree):
        if _covers(function, span.line) and (found is None or function.lineno > found[0].lineno):
            found = function, owner
    if found is None:
        return None
    function, owner = found
    self_name = _first_argument(function) if owner is not None else ""
    return _Scope(path=span.path, function=function, owner=owner, self_name=self_name)


def _first_argument(function: _Function) -> str:
    return next((each.arg for each in (*function.args.posonlyargs, *function.args.args)), "")


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
    """Plain names, and attributes of one (as ``self.name``), that are set, with the statement."""
    for node in ast.walk(parent):
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and (name := _written(node.targets[0])):
            yield name, node


def _written(node: ast.AST) -> str:
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=ast.Name(id=owner), attr=name):
            return f"{owner}.{name}"
        case _:
            return ""


def _is_read_elsewhere(tree: ast.Module, function: _Function, name: str) -> bool:
    """Whether other functions of the file may read an attribute."""
    owner, _, attribute = name.rpartition(".")
    inside = set(ast.walk(function))
    return bool(owner) and any(
        isinstance(node, ast.Attribute) and node.attr == attribute and node not in inside for node in ast.walk(tree)
    )


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
    return _written(node) == name


def _choices(scope: _Scope, container: str, entry: str, files: Iterable[str]) -> list[tuple[str, ast.expr | ast.stmt]]:
    """The places that decide which entries are read; none where something else is done with the container."""
    parents = scope.parents()
    reads = [node for node in parents if _is_name(node, container) and isinstance(getattr(node, "ctx", None), ast.Load)]
    places: dict[tuple[str, int, int], ast.expr | ast.stmt] = {}
    for read in reads:
        parent = parents[read]
        if isinstance(parent, ast.Call) and read in parent.args and scope.handed is None:
            handed = _handed_to(scope, parent, parent.args.index(read), files)
            found = _choices(*handed, entry, files) if handed is not None else []
            if not found:
                return []
        elif isinstance(parent, ast.Subscript) and parent.value is read:
            found = [_decided_at(parent, parent.slice, parents, scope) or (scope.path, parent)]
        else:
            return []
        for path, place in found:
            if entry and _names(place, entry):
                return []
            places[path, place.lineno, place.col_offset] = place
    return [(path, place) for (path, _, _), place in places.items()]


def _handed_to(scope: _Scope, call: ast.Call, position: int, files: Iterable[str]) -> tuple[_Scope, str] | None:
    """The function that a call hands an argument to, where only one has this name, and what it calls the argument."""
    if not isinstance(call.func, ast.Name) or call.keywords or any(isinstance(each, ast.Starred) for each in call.args):
        return None
    found = [
        (path, function)
        for path in dict.fromkeys(files)
        if (tree := parse_file(path)) is not None
        for function in tree.body
        if isinstance(function, _Function) and function.name == call.func.id
    ]
    if len(found) != 1:
        return None
    path, function = found[0]
    names = [each.arg for each in (*function.args.posonlyargs, *function.args.args)]
    if position >= len(names):
        return None
    modules = (name for name, given in zip(names, call.args, strict=False) if _is_name(given, scope.self_name))
    inner = _Scope(path=path, function=function, owner=scope.owner, self_name=next(modules, ""), handed=(scope, call))
    return inner, names[position]


def _names(place: ast.expr | ast.stmt, entry: str) -> bool:
    """Whether a choice written out does read the entry."""
    if isinstance(place, ast.Subscript):
        return ast.unparse(place.slice) == entry
    value = place.value if isinstance(place, ast.Assign) else place
    return isinstance(value, _Literal) and any(ast.unparse(each) == entry for each in value.elts)


def _decided_at(
    node: ast.AST, index: ast.expr, parents: dict[ast.AST, ast.AST], scope: _Scope
) -> tuple[str, ast.expr | ast.stmt] | None:
    """What the loop around a node goes through that gives the index, with its file; ``None`` without such a loop."""
    if not isinstance(index, ast.Name):
        return None
    while node in parents:
        node = parents[node]
        loops = node.generators if isinstance(node, (ast.ListComp, ast.GeneratorExp, ast.DictComp)) else [node]
        for loop in loops:
            if isinstance(loop, (ast.For, ast.comprehension)) and _is_name(loop.target, index.id):
                return scope.path, _written_out(loop.iter, scope)
    if scope.handed is None:
        return None
    outer, call = scope.handed
    names = [each.arg for each in (*scope.function.args.posonlyargs, *scope.function.args.args)]
    given = dict(zip(names, call.args, strict=False)).get(index.id)
    return _decided_at(call, given, outer.parents(), outer) if given is not None else None


def _written_out(choice: ast.expr, scope: _Scope) -> ast.expr | ast.stmt:
    """The statement that gives a variable or an attribute the list that is gone through."""
    text = _written(choice)
    base, _, attribute = text.rpartition(".")
    if base and base == scope.self_name and scope.owner is not None:
        methods = [each for each in scope.owner.body if isinstance(each, _Function)]
        found = [
            node
            for method in methods
            for name, node in _assigned(method)
            if name == f"{_first_argument(method)}.{attribute}"
        ]
    else:
        found = [node for name, node in _assigned(scope.function) if name == text]
    return found[0] if len(found) == 1 else choice
