"""A variable that is assigned again before anyone reads it: the line that loses what it held."""

from __future__ import annotations

import ast
import functools
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
    found = _assignments(tree).get(line)
    if found is None:
        return None
    name, block, place = found
    return name, block[place + 1 :]


@functools.lru_cache(maxsize=32)
def _assignments(tree: ast.Module) -> dict[int, tuple[str, list[ast.stmt], int]]:
    """For each line of a file the variable that is set on it, with the block and the place in it."""
    found: dict[int, tuple[str, list[ast.stmt], int]] = {}
    for parent in ast.walk(tree):
        for field in ("body", "orelse", "finalbody"):
            block = getattr(parent, field, None)
            for place, statement in enumerate(block if isinstance(block, list) else ()):
                match statement:
                    case ast.Assign(targets=[ast.Name(id=name)]):
                        for line in range(statement.lineno, (statement.end_lineno or statement.lineno) + 1):
                            found.setdefault(line, (name, block or [], place))
    return found


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
