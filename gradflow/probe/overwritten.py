"""A variable that is assigned again before anyone reads it: the line that loses what it held."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator

from gradflow.location import SourceSpan
from gradflow.probe.class_source import parse_file, span_of_node

__all__ = ["find_overwrite"]


def find_overwrite(span: SourceSpan, executed: Collection[tuple[str, int]]) -> SourceSpan | None:
    """Where the variable that the statement at ``span`` sets is set again, without being read in between.

    ``executed`` are the (file, line) pairs on which operations were recorded: an assignment inside a branch or a loop
    counts only when it ran. ``None`` where the variable is read, is not a plain name, or is not set again.
    """
    tree = parse_file(span.path)
    found = _assignment(tree, span.line) if tree is not None else None
    if found is None:
        return None
    name, following = found
    for statement in following:
        for node in _in_order(statement):
            if not isinstance(node, ast.Assign):
                if _reads(node, name):
                    return None
                continue
            if _reads(node, name):
                return None
            ran = node is statement or (span.path, node.lineno) in executed
            if ran and any(isinstance(target, ast.Name) and target.id == name for target in node.targets):
                return span_of_node(span.path, node, span.function)
    return None


def _assignment(tree: ast.Module, line: int) -> tuple[str, list[ast.stmt]] | None:
    """The variable set by the innermost statement on a line, and the statements of the same block after it."""
    for parent in ast.walk(tree):
        for field in ("body", "orelse", "finalbody"):
            block = getattr(parent, field, None)
            for place, statement in enumerate(block if isinstance(block, list) else ()):
                match statement:
                    case ast.Assign(targets=[ast.Name(id=name)]) if (
                        statement.lineno <= line <= (statement.end_lineno or statement.lineno)
                    ):
                        return name, block[place + 1 :] if block is not None else []
    return None


def _in_order(statement: ast.stmt) -> Iterator[ast.AST]:
    """The assignments in a statement and all else in it, in the order in which they stand."""
    if isinstance(statement, ast.Assign):
        yield statement
        return
    for child in ast.iter_child_nodes(statement):
        if isinstance(child, ast.stmt):
            yield from _in_order(child)
        else:
            yield child
    if isinstance(statement, ast.AugAssign) and isinstance(statement.target, ast.Name):
        yield ast.Name(id=statement.target.id, ctx=ast.Load())


def _reads(node: ast.AST, name: str) -> bool:
    return any(
        isinstance(each, ast.Name) and each.id == name and isinstance(each.ctx, ast.Load) for each in ast.walk(node)
    )
