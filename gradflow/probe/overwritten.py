"""A variable or attribute that is assigned again before anyone reads it: the line that loses what it held."""

from __future__ import annotations

import ast
import functools
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from gradflow.location import SourceSpan
from gradflow.source.class_source import parse_file, span_of_node

__all__ = ["Overwrite", "find_overwrite"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Overwrite:
    """The statement that sets a variable again. An attribute can be read elsewhere, too: `is_attribute`."""

    span: SourceSpan
    is_attribute: bool


def find_overwrite(span: SourceSpan, executed: Collection[tuple[str, int]]) -> Overwrite | None:
    """Where what the statement at ``span`` sets is set again, without being read in between by the same function.

    ``executed`` are the (file, line) pairs on which operations were recorded: an assignment inside a branch or a loop
    counts only when it ran. ``None`` where the variable is read, is neither a name nor an attribute of one, or is not
    set again.
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
            if ran and any(_written(target) == name for target in node.targets):
                return Overwrite(span=span_of_node(span.path, node, span.function), is_attribute="." in name)
            owner = name.rpartition(".")[0]
            if owner and any(_written(target) == owner for target in node.targets):
                return None  # from here on the same words mean an attribute of something else
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
                    case ast.Assign(targets=[target]) if name := _written(target):
                        for line in range(statement.lineno, (statement.end_lineno or statement.lineno) + 1):
                            found.setdefault(line, (name, block or [], place))
    return found


def _written(node: ast.AST) -> str:
    """A name, or an attribute of one, as it is written; empty for anything else."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=ast.Name(id=owner), attr=name):
            return f"{owner}.{name}"
        case _:
            return ""


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
    if isinstance(statement, ast.AugAssign):
        yield ast.parse(ast.unparse(statement.target), mode="eval").body  # it is read before it is written


def _reads(node: ast.AST, name: str) -> bool:
    return any(
        _written(each) == name and isinstance(each.ctx, ast.Load)
        for each in ast.walk(node)
        if isinstance(each, ast.Name | ast.Attribute)
    )
