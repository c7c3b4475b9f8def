"""Products that the program's source makes of two values after they have left torch, where nothing records them."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from gradflow.location import SourceSpan
from gradflow.probe.class_source import parse_file, span_of_node

__all__ = ["product_in_source"]

_PRODUCTS = frozenset({"multiply", "mul", "dot", "einsum", "tensordot", "matmul", "inner", "outer", "average"})
_Function = ast.FunctionDef | ast.AsyncFunctionDef


def product_in_source(first: SourceSpan, second: SourceSpan) -> SourceSpan | None:
    """Where the value read at one place is multiplied with the value read at another, in the same function.

    Follows plain names from statement to statement in the order of the source: a name that is assigned something else
    is forgotten, and so is one that was made of both.

    Returns
    -------
    SourceSpan or None
        The product; ``None`` where the source shows none, or cannot be read.
    """
    tree = parse_file(first.path) if first.path == second.path else None
    if tree is None:
        return None
    scope = _scope_of(tree, first.line)
    if scope is not _scope_of(tree, second.line):
        return None
    return _Names(first, second).follow(scope)


class _Names:
    """Which names hold the first value, or what was made of it alone; and which the second."""

    def __init__(self, first: SourceSpan, second: SourceSpan) -> None:
        self._places = (first, second)
        self._held: tuple[set[str], set[str]] = (set(), set())

    def follow(self, scope: ast.Module | _Function) -> SourceSpan | None:
        for statement in _statements(scope.body):
            product = next((node for node in _own_nodes(statement) if self._is_product(node)), None)
            if isinstance(product, (ast.expr, ast.stmt)):
                return span_of_node(self._places[0].path, product, self._places[0].function)
            match statement:
                case ast.Assign(targets=targets, value=value):
                    self._assign(targets, value)
                case ast.AnnAssign(target=target, value=ast.expr() as value):
                    self._assign([target], value)
        return None

    def _assign(self, targets: list[ast.expr], value: ast.expr) -> None:
        parts = self._parts(value)
        for target in targets:
            names = [node.id for node in ast.walk(target) if isinstance(node, ast.Name)]
            if isinstance(target, (ast.Subscript, ast.Attribute)):
                continue
            for number, held in enumerate(self._held):
                (held.update if parts == {number} else held.difference_update)(names)

    def _is_product(self, node: ast.AST) -> bool:
        match node:
            case ast.BinOp(op=ast.Mult() | ast.MatMult(), left=left, right=right):
                sides = [left, right]
            case ast.AugAssign(op=ast.Mult() | ast.MatMult(), target=target, value=value):
                sides = [target, value]
            case ast.Call(func=ast.Attribute(attr=name, value=receiver), args=arguments) if name in _PRODUCTS:
                sides = [receiver, *arguments]
            case _:
                return False
        found = [self._parts(side) for side in sides]
        return {0} in found and {1} in found

    def _parts(self, node: ast.expr) -> set[int]:
        """Which of the two values an expression is made of."""
        names = {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
        return {
            number
            for number, (place, held) in enumerate(zip(self._places, self._held, strict=True))
            if names & held or _encloses(node, place)
        }


def _encloses(node: ast.expr, place: SourceSpan) -> bool:
    if not node.lineno <= place.line <= (node.end_lineno or 0) or place.column is None:
        return False
    span = span_of_node(place.path, node)
    start, end = (span.line, span.column or 1), (span.end_line or 0, span.end_column or 0)
    last = (place.end_line or place.line, place.end_column or place.column)
    return start <= (place.line, place.column) and last <= end


def _scope_of(tree: ast.Module, line: int) -> ast.Module | _Function:
    around = [
        node
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.lineno <= line <= (node.end_lineno or 0)
    ]
    return max(around, key=lambda node: node.lineno, default=tree)


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements of one scope in the order of the source, without functions and classes defined in it."""
    for statement in body:
        if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            continue
        yield statement
        for name in ("body", "orelse", "finalbody"):
            yield from _statements(getattr(statement, name, []))
        for handler in getattr(statement, "handlers", []):
            yield from _statements(handler.body)


def _own_nodes(statement: ast.stmt) -> Iterator[ast.AST]:
    """A statement and the expressions in it, without the statements in it, which have their own turn."""
    yield statement
    for child in ast.iter_child_nodes(statement):
        if isinstance(child, ast.expr):
            yield from ast.walk(child)
