"""The frames of a traceback in which the program's own code, or a library's, called torch."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from types import FrameType, TracebackType
from typing import Any

from gradflow.location import SourceSpan, is_installed, is_machinery, span_of
from gradflow.source.definitions import expression_at
from gradflow.watch.post_mortem.look import variables_of

__all__ = ["Place", "places_in", "torch_argument"]


_BEYOND = 10**6
"""Right of everything in a line."""


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """One frame: where it stood when the exception passed, and whether it is the program's own code."""

    frame: FrameType
    span: SourceSpan
    is_own: bool

    @property
    def byte_column(self) -> int:
        """The column as syntax trees count it."""
        expression = self.expression
        return expression.col_offset if expression is not None else _BEYOND

    @property
    def expression(self) -> ast.expr | None:
        """The expression that was being evaluated."""
        return expression_at(self.span)


def places_in(traceback: TracebackType | None) -> list[Place]:
    """From the outermost frame to the innermost one, without those of torch, gradflow and the standard library."""
    return [
        Place(frame, span_of(frame.f_code, last), not is_installed(frame.f_code.co_filename))
        for frame, last in _frames(traceback)
        if not is_machinery(frame.f_code.co_filename)
    ]


def _frames(traceback: TracebackType | None) -> Iterator[tuple[FrameType, int]]:
    while traceback is not None:
        yield traceback.tb_frame, traceback.tb_lasti
        traceback = traceback.tb_next


def torch_argument(traceback: TracebackType | None, function: str, name: str) -> Any | None:
    """The argument with which one of torch's own functions was called; of several calls the innermost one's."""
    found = None
    for frame, _ in _frames(traceback):
        if frame.f_code.co_name == function and frame.f_code.co_filename.endswith(_FILES):
            with variables_of(frame) as variables:
                found = variables.get(name, found)
    return found


_FILES = ("torch/_tensor.py", "torch/autograd/__init__.py", "torch\\_tensor.py", "torch\\autograd\\__init__.py")
