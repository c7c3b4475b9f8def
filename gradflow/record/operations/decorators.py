"""Which decorator of a function is the one of torch that wraps it, told by what it is, not by its name."""

from __future__ import annotations

import ast
import builtins
import inspect
import sys
import textwrap
from collections.abc import Callable, Mapping
from types import BuiltinFunctionType, CodeType, FunctionType
from typing import Any

from gradflow.location import SourceSpan, character_column
from gradflow.torch_facts.frames import DECORATORS

__all__ = ["decorator_span"]

_UNKNOWN = object()


def decorator_span(code: CodeType, *, function: Callable[..., Any], decorator: Any) -> SourceSpan | None:
    """The place of the decorator in the source of a function; ``None`` where it has none: it was wrapped by a call.

    Parameters
    ----------
    code
        Of the function below all its decorators.
    function
        What it wraps: that function, or what other decorators have made of it.
    decorator
        The object that wraps it; ``None`` where that is not known.
    """
    whole = SourceSpan(path=code.co_filename, line=code.co_firstlineno, function=code.co_qualname)
    try:
        lines, first = inspect.getsourcelines(code)
        tree = ast.parse(textwrap.dedent("".join(lines)))
    except (OSError, SyntaxError, TypeError):
        return whole
    written: list[ast.expr] = getattr(tree.body[0], "decorator_list", [])
    wrappers = _wrappers(function)
    known = getattr(wrappers[-1], "__globals__", {})
    meant = [(each, _meaning(each, known)) for each in written]
    # each decorator below it has made one wrapper at most
    may_be = meant[: len(written) - len(wrappers) + 1]
    found = [each for each, what in meant if _is_it(what, decorator)]
    found = found or [each for each, what in may_be if what is _UNKNOWN]
    if len(found) != 1:
        # of several, whichever it is, the function is under it
        return whole if found else None
    expression, path, indent = found[0], code.co_filename, len(lines[0]) - len(lines[0].lstrip())
    line, end_line = first + expression.lineno - 1, first + (expression.end_lineno or expression.lineno) - 1
    return SourceSpan(
        path=path,
        line=line,
        # it starts at the `@`, one character before the expression
        column=character_column(path, line, indent + expression.col_offset) - 1,
        end_line=end_line,
        end_column=character_column(path, end_line, indent + (expression.end_col_offset or 0)),
        function=code.co_qualname,
    )


def _wrappers(function: Callable[..., Any]) -> list[Any]:
    """A function, what it wraps, and so on, to the one that was written."""
    found: list[Any] = []

    def passed(one: Any) -> bool:
        found.append(one)
        return False

    written = inspect.unwrap(function, stop=passed)
    return [*found, written]


def _is_it(what: Any, decorator: Any) -> bool:
    """Whether it is the very object, or the class, of a decorator of torch."""
    if isinstance(what, type):
        return issubclass(what, DECORATORS) and (decorator is None or type(decorator) is what)
    return isinstance(what, DECORATORS) and (decorator is None or type(decorator) is type(what))


def _meaning(expression: ast.expr, known: Mapping[str, Any]) -> Any:
    """What is called, or is the decorator itself; nothing is run for it.

    A function of the program's may give any decorator, and is as unknown as what has no global name; one of Python's
    own gives none of torch's.
    """
    while isinstance(expression, ast.Call):
        expression = expression.func
    found = _named(expression, known)
    is_decorator = isinstance(found, DECORATORS) or (isinstance(found, type) and issubclass(found, DECORATORS))
    return found if is_decorator or _is_pythons(found) else _UNKNOWN


def _named(expression: ast.expr, known: Mapping[str, Any]) -> Any:
    if isinstance(expression, ast.Name):
        return known.get(expression.id, vars(builtins).get(expression.id, _UNKNOWN))
    if isinstance(expression, ast.Attribute):
        return inspect.getattr_static(_named(expression.value, known), expression.attr, _UNKNOWN)
    return _UNKNOWN


def _is_pythons(found: Any) -> bool:
    if type(found) not in (type, FunctionType, BuiltinFunctionType):
        return False
    home = str(found.__module__).partition(".")[0]
    return home in sys.stdlib_module_names and home != "__main__"
