"""Whether a function returns what it computes at some place: then its caller decides what becomes of that."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from gradflow.location import SourceSpan
from gradflow.source.class_source import parse_file

__all__ = ["kept_at"]

_Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


def kept_at(spans: Iterable[SourceSpan]) -> Iterator[SourceSpan]:
    """The places, of one and the calls that lead to it, at which the same value may be kept: the innermost first.

    It goes on to the next one as long as what is computed at a place is what its function returns.
    """
    for span in spans:
        yield span
        if not _is_returned(span):
            return


def _is_returned(span: SourceSpan) -> bool:
    if span.function.endswith(("comp>", "<genexpr>")):
        return True  # what the loop inside a list is made of
    tree = parse_file(span.path)
    function = _innermost(tree, span) if tree is not None else None
    if function is None or isinstance(function, ast.Lambda):
        return function is not None
    names: set[str] = set()
    for node in ast.walk(function):
        if isinstance(node, ast.Return) and _covers(node, span):
            return True
        if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign) and _covers(node, span):
            names = _names_set(node)
    stands = [node for node in ast.walk(function) if isinstance(node, ast.Name) and node.id in names]
    set_again = {node.id for node in stands if isinstance(node.ctx, ast.Store) and node.lineno > span.line}
    returned = [node.value for node in ast.walk(function) if isinstance(node, ast.Return)]
    handed_back = [part for value in returned for part in (value.elts if isinstance(value, ast.Tuple) else [value])]
    return any(node in handed_back for node in stands if node.id not in set_again)


def _names_set(statement: ast.Assign | ast.AnnAssign | ast.AugAssign) -> set[str]:
    targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
    parts = [part for target in targets for part in (target.elts if isinstance(target, ast.Tuple) else [target])]
    return {part.id for part in parts if isinstance(part, ast.Name)}


def _innermost(tree: ast.Module, span: SourceSpan) -> _Function | None:
    found = [node for node in ast.walk(tree) if isinstance(node, _Function) and _covers(_body(node), span)]
    return max(found, key=lambda node: (node.lineno, node.col_offset), default=None)


def _body(node: _Function) -> ast.expr | ast.stmt:
    return node.body if isinstance(node, ast.Lambda) else node


def _covers(node: ast.expr | ast.stmt, span: SourceSpan) -> bool:
    return node.lineno <= span.line <= (node.end_lineno or node.lineno)
