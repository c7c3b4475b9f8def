"""Where gradient recording was switched off: at a ``with`` line, a call, or a decorator."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any

import torch

from gradflow.location import SiteTable, SourceSpan, is_machinery, own_directory
from gradflow.record.operations.decorators import decorator_span
from gradflow.record.operations.frames import is_in_torchs_module
from gradflow.torch_facts.frames import decorated_function, decorator_of

__all__ = ["GradModes", "region_site"]

_is_grad_enabled = torch.is_grad_enabled


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
            find = functools.partial(decorator_span, function=function, decorator=decorator_of(here))
            if code is not None and (number := sites.number_within(code, find)) >= 0:
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


def is_leaving() -> bool:
    """Whether the grad mode is being changed by the end of a ``with`` block; asked from within the recorder."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith(own_directory()):
        frame = frame.f_back
    return frame is not None and frame.f_code.co_name == "__exit__"


class GradModes:
    """Follows what switches gradient recording off and on while operations are recorded.

    Parameters
    ----------
    sites
        Numbers the places in the user's code.
    keeps_recording
        Asked with a place that is about to switch recording off: whether an experiment leaves that out.

    Attributes
    ----------
    region
        The site that switched recording off; -1 while it is on, and where that is not known.
    is_torchs
        Whether a module of torch's own has switched it off, inside its call.
    checkpoint_depth
        How many reentrant checkpoints are running.
    enabled_at_start
        Whether recording was on when the run began.
    """

    def __init__(self, sites: SiteTable, keeps_recording: Callable[[int], bool] | None = None) -> None:
        self.region = -1
        self.is_torchs = False
        self.checkpoint_depth = 0
        self.enabled_at_start = _is_grad_enabled()
        self._sites = sites
        self._keeps_recording = keeps_recording
        self._inference_depth = 0
        self._outer_regions: list[int] = []

    @property
    def mode(self) -> int:
        """Why gradients are not recorded now: a key of ``REGION_CAUSES``."""
        if self._inference_depth:
            return 2
        if self.checkpoint_depth:
            return 3
        # off although nobody was seen to switch it off: the inside of a Function whose `apply` was held elsewhere
        return 4 if self.region < 0 and self.enabled_at_start else 1

    def note_change(self, was_enabled: bool, frame: FrameType | None) -> None:
        """Recording has just been switched off or on by what runs in ``frame``."""
        now_enabled = _is_grad_enabled()
        self.is_torchs = not now_enabled and is_in_torchs_module(frame)
        if was_enabled and not now_enabled:
            if is_leaving() and self._outer_regions:
                self.region = self._outer_regions.pop()
            else:
                self.region = region_site(self._sites, frame)
        elif now_enabled and not was_enabled:
            if not is_leaving():
                self._outer_regions.append(self.region)
            self.region = -1

    def keeps_recording(self, frame: FrameType | None) -> bool:
        """Whether an experiment leaves out what is about to switch recording off."""
        return self._keeps_recording is not None and self._keeps_recording(region_site(self._sites, frame))

    def enter_inference(self, enabled: bool, frame: FrameType | None) -> None:
        """An ``inference_mode`` region begins."""
        if enabled:
            if not self._inference_depth:
                self._outer_regions.append(self.region)
                self.region = region_site(self._sites, frame)
            self._inference_depth += 1

    def leave_inference(self, enabled: bool) -> None:
        """An ``inference_mode`` region ends."""
        if enabled and self._inference_depth:
            self._inference_depth -= 1
            if not self._inference_depth and self._outer_regions:
                self.region = self._outer_regions.pop()

    def set_initial_region(self, span: SourceSpan) -> None:
        """Gradient recording is off already when the run begins, since ``span``."""
        self.region = self._sites.number_of_span(span)
