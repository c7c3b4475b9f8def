"""The user's own score function: where it stands and what it gives."""

from __future__ import annotations

import ast
import functools
import inspect
import linecache
from collections.abc import Callable
from typing import Any

import numpy
import torch

from gradflow.errors import ScoreError
from gradflow.load.user_code import blaming_user_code
from gradflow.location import SourceSpan

__all__ = ["call_score_function", "span_of_score"]

_Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


def call_score_function(
    score: Callable[[Any], Any], output: Any, *, kind: str = "score function", hint: str = ""
) -> tuple[torch.Tensor, str]:
    """The score of ``output`` and how to name it; messages call it a ``kind``, and give a ``hint`` if it raises.

    A Python or NumPy number is taken as it is: as a tensor, it has no gradient, and the check says so.

    Raises
    ------
    ScoreError
        When the function raises, or returns anything but one number.
    """
    name = getattr(score, "__name__", type(score).__name__)
    label = "score" if name == "<lambda>" else name
    with blaming_user_code(f"the {kind} `{label}` raised", ScoreError, hint=hint):
        value = score(output)
    if isinstance(value, torch.Tensor):
        if value.numel() != 1:
            raise ScoreError(
                f"the {kind} `{label}` returned a tensor of shape {list(value.shape)}, not one number",
                hint="reduce it: `.sum()`, `.max()`, or pick one entry",
            )
        if value.is_complex():
            raise _complex(kind, label)
        return value, f"{label}(output)"
    if isinstance(value, (bool, int, float, numpy.generic)) or (isinstance(value, numpy.ndarray) and value.size == 1):
        number = torch.tensor(value)
        if number.is_complex():
            raise _complex(kind, label)
        return number, f"{label}(output), a plain number and not a tensor"
    returned = "`None`; does it lack a `return`?" if value is None else f"a `{type(value).__name__}`"
    raise ScoreError(f"the {kind} `{label}` returned {returned}", hint="return a tensor with one element")


def _complex(kind: str, label: str) -> ScoreError:
    return ScoreError(
        f"the {kind} `{label}` returned a complex number",
        note="a gradient is that of one real number",
        hint="make one of it: `.abs()`, `.real` or `.imag`",
    )


def span_of_score(score: Callable[[Any], Any]) -> SourceSpan | None:
    """The expression that the function returns last, else its definition; ``None`` where there is no source."""
    function = inspect.unwrap(score)
    while isinstance(function, functools.partial):
        function = function.func
    function = getattr(function, "__func__", function)
    if not hasattr(function, "__code__"):
        function = type(function).__dict__.get("__call__", function)
    code = getattr(function, "__code__", None)
    if code is None:
        return None
    path, first_line = code.co_filename, code.co_firstlineno
    lines = linecache.getlines(path)
    try:
        tree = ast.parse("".join(lines))
    except (SyntaxError, ValueError):
        return None
    found = _definition(tree, first_line)
    if found is None:
        return None
    returned = _last_returned(found)
    return _span(path, lines, returned if returned is not None else found, code.co_qualname)


def _definition(tree: ast.Module, first_line: int) -> _Function | None:
    for node in ast.walk(tree):
        if isinstance(node, _Function):
            decorators = [] if isinstance(node, ast.Lambda) else node.decorator_list
            if first_line == min([node.lineno, *(decorator.lineno for decorator in decorators)]):
                return node
    return None


def _last_returned(function: _Function) -> ast.expr | None:
    if isinstance(function, ast.Lambda):
        return function.body
    returned: list[ast.expr] = []
    pending: list[ast.AST] = list(function.body)
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Return) and node.value is not None:
            returned.append(node.value)
        if not isinstance(node, (*_Function.__args__, ast.ClassDef)):
            pending.extend(ast.iter_child_nodes(node))
    return max(returned, key=lambda value: (value.lineno, value.col_offset), default=None)


def _span(path: str, lines: list[str], node: ast.expr | _Function, function: str) -> SourceSpan:
    end_line, end_offset = node.end_lineno or node.lineno, node.end_col_offset or node.col_offset
    if not isinstance(node, ast.expr):  # a whole definition: its first line is enough
        end_line, end_offset = node.lineno, len(lines[node.lineno - 1].rstrip("\n").encode())
    return SourceSpan(
        path=path,
        line=node.lineno,
        column=_column(lines, node.lineno, node.col_offset),
        end_line=end_line,
        end_column=_column(lines, end_line, end_offset),
        function=function,
    )


def _column(lines: list[str], line: int, offset: int) -> int:
    """A 1-based character column from the 0-based UTF-8 offset that ``ast`` gives."""
    return len(lines[line - 1].encode()[:offset].decode(errors="ignore")) + 1
