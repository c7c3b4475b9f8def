"""Reads the source of a custom ``autograd.Function`` for the line that loses a gradient."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Mapping
from typing import Any

from gradflow.location import SourceSpan, is_machinery

__all__ = ["function_spans", "missing_return"]


class _Method:
    """The syntax tree of one static method, with positions in its file."""

    def __init__(self, function: Any) -> None:
        code = inspect.unwrap(function).__code__
        self.path = code.co_filename
        self.qualname = code.co_qualname
        lines, self.first = inspect.getsourcelines(code)
        self.indent = len(lines[0]) - len(lines[0].lstrip())
        self.tree = ast.parse(textwrap.dedent("".join(lines))).body[0]

    def span(self, node: ast.stmt | ast.expr) -> SourceSpan:
        return SourceSpan(
            path=self.path,
            line=self.first + node.lineno - 1,
            column=self.indent + node.col_offset + 1,
            end_line=self.first + (node.end_lineno or node.lineno) - 1,
            end_column=self.indent + (node.end_col_offset or 0) + 1,
            function=self.qualname,
        )


def _method(cls: type, name: str) -> _Method | None:
    function = inspect.getattr_static(cls, name, None)
    function = getattr(function, "__func__", function)
    code = getattr(function, "__code__", None)
    if code is None or is_machinery(code.co_filename):
        return None
    try:
        return _Method(function)
    except (OSError, SyntaxError, IndexError):
        return None


def missing_return(cls: type, argument: int) -> SourceSpan | None:
    """Where ``backward`` of a Function fails to return the gradient for the forward argument ``argument``.

    The ``return`` that gives ``None`` for it, or the test of ``ctx.needs_input_grad`` with another argument's index
    that guards its computation.
    """
    method = _method(cls, "backward")
    if method is None:
        return None
    returns = [node for node in ast.walk(method.tree) if isinstance(node, ast.Return) and node.value is not None]
    if not returns:
        return method.span(method.tree)
    last = returns[-1]
    value = last.value
    if isinstance(value, ast.Tuple) and argument < len(value.elts):
        value = value.elts[argument]
    if isinstance(value, ast.Name):
        guard = _wrong_guard(method.tree, value.id, argument)
        if guard is not None:
            return method.span(guard)
    return method.span(last)


def _wrong_guard(tree: ast.AST, name: str, argument: int) -> ast.expr | None:
    for node in ast.walk(tree):
        if not isinstance(node, ast.If):
            continue
        assigns = any(
            isinstance(target, ast.Name) and target.id == name
            for statement in ast.walk(node)
            if isinstance(statement, ast.Assign)
            for target in statement.targets
        )
        tested = re.search(r"needs_input_grad\[(\d+)\]", ast.unparse(node.test))
        if assigns and tested and int(tested.group(1)) != argument:
            return node.test
    return None


def function_spans(functions: Mapping[str, type]) -> dict[str, SourceSpan]:
    """For each Function that ran: the place in ``forward`` that declares its result not differentiable, if it does."""
    found = {}
    for name, cls in functions.items():
        for part in ("forward", "setup_context"):
            method = _method(cls, part)
            if method is None:
                continue
            for node in ast.walk(method.tree):
                if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("mark_non_differentiable"):
                    found[name] = method.span(node)
    return found
