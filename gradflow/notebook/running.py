"""Runs a cell as IPython would, under observation."""

from __future__ import annotations

import ast
import contextlib
import inspect
from types import CodeType
from typing import Any

from IPython.core.error import UsageError

from gradflow.cell import cell_number
from gradflow.record.program.exceptions.program_frames import without_gradflow
from gradflow.watch.explain import Explanation

__all__ = ["run_source"]


def run_source(shell: Any, source: str, explanation: Explanation, *, first_line: int) -> Any:
    """Run source code in the user's namespace; returns the value of a last expression.

    Parameters
    ----------
    shell
        The running IPython.
    source
        Code as a user writes it, magics included.
    explanation
        Watches it.
    first_line
        The line of the cell in which the code begins, so that lines are called what they are called in the cell.
    """
    code, last = _compiled(shell, source, first_line)
    try:
        with explanation:
            exec(code, shell.user_global_ns, shell.user_ns)  # noqa: S102  (the user's cell)
            return eval(last, shell.user_global_ns, shell.user_ns) if last is not None else None  # noqa: S307
    except Exception as error:
        _render_as_usual(shell, error)
        raise


def _compiled(shell: Any, source: str, first_line: int) -> tuple[CodeType, CodeType | None]:
    """The statements, and the last expression where there is one."""
    text = "\n" * (first_line - 1) + shell.transform_cell(source)
    name = shell.compile.cache(text, _number_of_cell(shell), source)
    try:
        tree = shell.transform_ast(shell.compile.ast_parse(text, name))
        if _awaits(tree):
            raise UsageError(_NO_AWAIT)
        statements, last = tree.body, None
        if statements and isinstance(statements[-1], ast.Expr) and shell.ast_node_interactivity != "none":
            last = shell.compile(ast.Expression(statements.pop().value), name, "eval")
        code = shell.compile(ast.Module(statements, []), name, "exec")
    except SyntaxError as error:
        lines = shell.SyntaxTB.structured_traceback(type(error), error, [])
        _set_rendering(error, lines)
        raise
    return code, last


_NO_AWAIT = (
    "%%gradflow: a watched cell cannot `await` at its top level; put that into an `async def` with "
    "`@gradflow.explain()` above it, and await the function in a plain cell"
)


def _awaits(tree: ast.AST) -> bool:
    """Whether code waits outside of any function."""
    waiting = list(ast.iter_child_nodes(tree))
    while waiting:
        node = waiting.pop()
        if isinstance(node, (ast.Await, ast.AsyncFor, ast.AsyncWith)):
            return True
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)):
            waiting.extend(ast.iter_child_nodes(node))
    return False


def _number_of_cell(shell: Any) -> int:
    """The number of the cell that runs now; IPython counts on before or after it, depending on its release."""
    frame = inspect.currentframe()
    while frame is not None:
        number = cell_number(frame.f_code.co_filename)
        if number is not None:
            return number
        frame = frame.f_back
    return int(shell.execution_count)


def _render_as_usual(shell: Any, error: Exception) -> None:
    """Let IPython show the traceback from the cell on, as if the magic were not there."""
    traceback = without_gradflow(error.__traceback__)
    if traceback is not None and not hasattr(error, "_render_traceback_"):
        lines = shell.InteractiveTB.structured_traceback(type(error), error, traceback, tb_offset=0)
        _set_rendering(error, lines)


def _set_rendering(error: BaseException, lines: list[str]) -> None:
    """IPython asks an exception itself how it is shown, where it has an answer."""
    with contextlib.suppress(AttributeError, TypeError):  # an exception that takes no attributes
        error._render_traceback_ = lambda: lines  # type: ignore[attr-defined]
