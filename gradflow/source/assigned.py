"""Which of the program's own names got the value that is made at a place."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from gradflow.location import SourceSpan
from gradflow.source.class_source import parse_file, span_of_node

__all__ = ["assigned_name"]


def assigned_name(span: SourceSpan | None) -> str:
    """``x`` of ``x = torch.ones(3)`` for the place of the call, or ``self.x``; empty where no plain name gets it.

    ``x = torch.ones(3).requires_grad_()`` gives the same tensor the name.
    """
    tree = parse_file(span.path) if span is not None else None
    if tree is None or span is None or span.column is None:
        return ""
    for statement in ast.walk(tree):
        if not isinstance(statement, (ast.Assign, ast.AnnAssign)) or statement.value is None:
            continue
        if statement.lineno <= span.line <= (statement.end_lineno or statement.lineno):
            targets: list[ast.expr] = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            for target, value in _pairs(targets, statement.value):
                if isinstance(target, (ast.Name, ast.Attribute)) and _is_at(span, value):
                    return ast.unparse(target)
    return ""


def _pairs(targets: list[ast.expr], value: ast.expr) -> Iterator[tuple[ast.expr, ast.expr]]:
    """``a, b = x, y`` gives each its own."""
    for target in targets:
        several = isinstance(target, (ast.Tuple, ast.List)) and isinstance(value, (ast.Tuple, ast.List))
        if several and len(target.elts) == len(value.elts):  # type: ignore[attr-defined]
            yield from zip(target.elts, value.elts, strict=True)  # type: ignore[attr-defined]
        else:
            yield target, value


def _is_at(span: SourceSpan, value: ast.expr) -> bool:
    match value:
        case ast.Call(func=ast.Attribute(value=made, attr="requires_grad_")) if _is_at(span, made):
            return True
    place = span_of_node(span.path, value)
    return (place.line, place.column, place.end_line, place.end_column) == (
        span.line,
        span.column,
        span.end_line,
        span.end_column,
    )
