"""Reads the source of a custom ``autograd.Function`` for the line that loses a gradient."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Mapping
from typing import Any

from gradflow.location import SourceSpan, character_column, is_machinery

__all__ = ["formula_spans", "function_spans", "missing_return"]


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
        line, end_line = self.first + node.lineno - 1, self.first + (node.end_lineno or node.lineno) - 1
        return SourceSpan(
            path=self.path,
            line=line,
            # syntax trees count bytes
            column=character_column(self.path, line, self.indent + node.col_offset),
            end_line=end_line,
            end_column=character_column(self.path, end_line, self.indent + (node.end_col_offset or 0)),
            function=self.qualname,
        )

    def returns(self) -> list[ast.expr]:
        """What it returns, in the order of the source; a function within it has returns of its own."""
        waiting: list[ast.AST] = [self.tree]
        found = []
        while waiting:
            for node in ast.iter_child_nodes(waiting.pop()):
                if isinstance(node, ast.Return) and node.value is not None:
                    found.append(node)
                if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)):
                    waiting.append(node)
        return [node.value for node in sorted(found, key=lambda node: node.lineno) if node.value is not None]


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
    last = max(returns, key=lambda node: node.lineno)
    value = last.value
    if isinstance(value, ast.Tuple) and argument < len(value.elts):
        value = value.elts[argument]
    if isinstance(value, ast.Name):
        guard = _wrong_guard(method.tree, value.id, argument)
        if guard is not None:
            return method.span(guard)
    return method.span(last)


def formula_spans(cls: type, argument: int) -> tuple[SourceSpan | None, SourceSpan | None]:
    """Where ``backward`` computes what it returns for an argument, and the ``return``; the same where it is one place.

    ``None`` twice where there is no source.
    """
    method = _method(cls, "backward")
    if method is None:
        return None, None
    values = [_returned_for(value, argument) for value in method.returns()]
    if not values:
        return method.span(method.tree), None
    # `return None, None` where no gradient is needed computes nothing
    computing = [value for value in values if not (isinstance(value, ast.Constant) and value.value is None)]
    value = (computing or values)[-1]
    at_return = method.span(value)
    computed = _last_change(method.tree, value.id) if isinstance(value, ast.Name) else None
    return (method.span(computed) if computed is not None else at_return), at_return


def _returned_for(value: ast.expr, argument: int) -> ast.expr:
    return value.elts[argument] if isinstance(value, ast.Tuple) and argument < len(value.elts) else value


def _last_change(tree: ast.AST, name: str) -> ast.expr | ast.stmt | None:
    """What was last assigned to a name, or written into it; the ``None`` that it may start with does not count."""
    found: ast.expr | ast.stmt | None = None
    for node in ast.walk(tree):
        if isinstance(node, (ast.AugAssign, ast.AnnAssign)):
            targets: list[ast.expr] = [node.target]
        elif isinstance(node, ast.Assign):
            targets = node.targets
        else:
            continue
        value = node.value
        if value is None or (isinstance(value, ast.Constant) and value.value is None):
            continue
        if any(name in _names_written(target) for target in targets) and (found is None or node.lineno >= found.lineno):
            plain = isinstance(node, ast.Assign) and all(isinstance(target, ast.Name) for target in targets)
            found = value if plain else node
    return found


def _names_written(target: ast.expr) -> set[str]:
    """``grad`` for ``grad``, ``grad[mask]`` and ``grad, other``."""
    if isinstance(target, (ast.Tuple, ast.List)):
        return {name for item in target.elts for name in _names_written(item)}
    while isinstance(target, (ast.Subscript, ast.Starred)):
        target = target.value
    return {target.id} if isinstance(target, ast.Name) else set()


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
