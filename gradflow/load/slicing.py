"""Slices as people type them: ``[:, 1:]``."""

from __future__ import annotations

import ast
import operator
from typing import Any

from gradflow.errors import UsageError

__all__ = ["parse_slice"]


def parse_slice(text: str) -> tuple[Any, ...]:
    """The index that ``x[...]`` would use; only numbers, ``:``, ``...`` and ``None`` are allowed.

    Raises
    ------
    UsageError
        When the text is not such a slice.
    """
    wrapped = text.strip()
    if not wrapped.startswith("["):
        wrapped = f"[{wrapped}]"
    try:
        tree = ast.parse(f"x{wrapped}", mode="eval").body
        index = tree.slice if isinstance(tree, ast.Subscript) else tree
        parts = tuple(_part(part) for part in (index.elts if isinstance(index, ast.Tuple) else [index]))
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError) as error:  # the last two: too deep
        raise UsageError(
            f"`{text}` is not a slice", hint='write it as in Python, such as `"[:, 1:]"` or `"[0, ..., 3]"`'
        ) from error
    if any(isinstance(part, slice) and part.step is not None and part.step < 1 for part in parts):
        raise UsageError(
            f"the slice `{text}` has a step below 1",
            note="torch takes none; the gradient of a part does not depend on its order",
            hint="leave the step out",
        )
    return parts


def _part(node: ast.expr) -> Any:
    if isinstance(node, ast.Slice):
        return slice(*(None if edge is None else _number(edge) for edge in (node.lower, node.upper, node.step)))
    value = ast.literal_eval(node)
    if value is Ellipsis or value is None:
        return value
    return _number(node)


def _number(node: ast.expr) -> int:
    return operator.index(ast.literal_eval(node))
