"""The code that runs when something is called, and where it begins: of functions, methods, partials and objects."""

from __future__ import annotations

import functools
from types import CodeType, FunctionType, MethodType
from typing import Any

from gradflow.location import SourceSpan, span_of

__all__ = ["code_of", "definition_of"]


def code_of(called: Any) -> CodeType | None:
    """The code that runs when a called is called; ``None`` for what is not written in Python."""
    while isinstance(called, functools.partial):
        called = called.func
    if isinstance(called, MethodType):
        called = called.__func__
    if not isinstance(called, FunctionType):
        called = next((vars(cls)["__call__"] for cls in type(called).__mro__ if "__call__" in vars(cls)), None)
    return called.__code__ if isinstance(called, FunctionType) else None


def definition_of(called: Any) -> SourceSpan | None:
    """Where the code that runs begins."""
    code = code_of(called)
    if code is None:
        return None
    span = span_of(code, -1)
    return SourceSpan(path=span.path, line=span.line, function=span.function)
