"""Where gradient recording was switched off: at a ``with`` line, a call, or a decorator."""

from __future__ import annotations

import ast
import inspect
import sys
import textwrap
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any

import torch

from gradflow.location import SiteTable, SourceSpan, character_column, is_machinery, own_directory
from gradflow.record.conduct.whose_error import run_theirs
from gradflow.record.frames import is_in_torchs_module
from gradflow.record.tables import Tables
from gradflow.torch_facts.frames import decorated_function

__all__ = ["GradModes", "region_site"]

_is_grad_enabled = torch.is_grad_enabled
_SWITCHES = ("no_grad", "inference_mode", "set_grad_enabled")


def region_site(sites: SiteTable, frame: FrameType | None) -> int:
    """The site that switched recording off, looked for upwards from ``frame``.

    A function decorated with ``@torch.no_grad()`` runs inside a wrapper of torch; the place a person must change is the
    decorator, which no frame points at, so it is read from the source of the decorated function. A function that was
    wrapped by a call, ``torch.no_grad()(function)``, is itself the place where no line of the user's calls it.
    """
    here = frame
    wrapped: Callable[..., Any] | None = None
    while here is not None and is_machinery(here.f_code.co_filename):
        if (function := decorated_function(here)) is not None:
            wrapped = function
            code = _code_of(function)
            if code is not None and (number := sites.number_within(code, _decorator_span)) >= 0:
                return number
        here = here.f_back
    number = sites.number(frame)
    if wrapped is not None and is_machinery(sites.path_of(number)):
        code = _code_of(wrapped)
        if code is not None:
            span = SourceSpan(path=code.co_filename, line=code.co_firstlineno, function=code.co_qualname)
            return sites.number_of_span(span)
    return number


def _code_of(function: Callable[..., Any]) -> CodeType | None:
    """The code of a function of the user's, below its decorators."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    return None if code is None or is_machinery(code.co_filename) else code


def _decorator_span(code: CodeType) -> SourceSpan | None:
    try:
        lines, first = inspect.getsourcelines(code)
        tree = ast.parse(textwrap.dedent("".join(lines)))
    except (OSError, SyntaxError, TypeError):
        return SourceSpan(path=code.co_filename, line=code.co_firstlineno, function=code.co_qualname)
    indent = len(lines[0]) - len(lines[0].lstrip())
    definition = tree.body[0]
    decorators: list[ast.expr] = getattr(definition, "decorator_list", [])
    for decorator in decorators:
        if any(switch in ast.unparse(decorator) for switch in _SWITCHES):
            path, line = code.co_filename, first + decorator.lineno - 1
            end_line = first + (decorator.end_lineno or decorator.lineno) - 1
            return SourceSpan(
                path=path,
                line=line,
                # it starts at the `@`, one character before the expression
                column=character_column(path, line, indent + decorator.col_offset) - 1,
                end_line=end_line,
                end_column=character_column(path, end_line, indent + (decorator.end_col_offset or 0)),
                function=code.co_qualname,
            )
    # wrapped by a call, `torch.no_grad()(function)`: no line of the function says so
    return None


def is_leaving() -> bool:
    """Whether the grad mode is being changed by the end of a ``with`` block; asked from within the recorder."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith(own_directory()):
        frame = frame.f_back
    return frame is not None and frame.f_code.co_name == "__exit__"


class GradModes(Tables):
    """Follows what switches gradient recording off and on while operations are recorded."""

    def __init__(self, sites: SiteTable) -> None:
        super().__init__(sites)
        self._is_torchs_region = False
        self._inference_depth = 0
        self._checkpoint_depth = 0
        self._enabled_at_start = True
        self._outer_regions: list[int] = []

    def _region_mode(self) -> int:
        """Why gradients are not recorded now: a key of ``REGION_CAUSES``."""
        if self._inference_depth:
            return 2
        if self._checkpoint_depth:
            return 3
        # off although nobody was seen to switch it off: the inside of a Function whose `apply` was held elsewhere
        return 4 if self.region < 0 and self._enabled_at_start else 1

    def _change_grad_mode(self, func: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        was_enabled = _is_grad_enabled()
        if was_enabled and not args[0] and self.keeps_recording(sys._getframe(2)):
            return run_theirs(func, (True,))
        result = run_theirs(func, args)
        now_enabled = _is_grad_enabled()
        self._is_torchs_region = not now_enabled and is_in_torchs_module(sys._getframe(2))
        if was_enabled and not now_enabled:
            if is_leaving() and self._outer_regions:
                self.region = self._outer_regions.pop()
            else:
                self.region = region_site(self.sites, sys._getframe(2))
        elif now_enabled and not was_enabled:
            if not is_leaving():
                self._outer_regions.append(self.region)
            self.region = -1
        return result

    def keeps_recording(self, frame: FrameType | None) -> bool:
        """Whether an experiment leaves out what is about to switch recording off."""
        return self.seam is not None and self.seam.keeps_recording(region_site(self.sites, frame))

    def enter_inference(self, enabled: bool) -> None:
        """Called when an ``inference_mode`` region begins."""
        if enabled:
            if not self._inference_depth:
                self._outer_regions.append(self.region)
                self.region = region_site(self.sites, sys._getframe(2))
            self._inference_depth += 1

    def leave_inference(self, enabled: bool) -> None:
        """Called when an ``inference_mode`` region ends."""
        if enabled and self._inference_depth:
            self._inference_depth -= 1
            if not self._inference_depth and self._outer_regions:
                self.region = self._outer_regions.pop()

    def set_initial_region(self, span: SourceSpan) -> None:
        """Gradient recording is off already when the run begins, since ``span``."""
        self.region = self.sites.number_of_span(span)
