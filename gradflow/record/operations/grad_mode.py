"""Where gradient recording was switched off: at a ``with`` line, a call, or a decorator."""

from __future__ import annotations

import functools
import inspect
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from types import CodeType, FrameType
from typing import Any

import torch

from gradflow.location import SiteTable, SourceSpan, is_machinery
from gradflow.record.operations.decorators import decorator_span
from gradflow.record.operations.frames import is_in_torchs_module
from gradflow.torch_facts.frames import decorated_function, decorator_of, grad_switch

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


@dataclass(frozen=True, slots=True)
class _Before:
    """What held where a context of torch's began, and holds again where it ends, whatever began and ended within."""

    context: weakref.ref[object]
    region: int
    is_torchs: bool
    is_inference: bool


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
        self._is_inference = False
        self._before: dict[int, _Before] = {}

    @property
    def mode(self) -> int:
        """Why gradients are not recorded now: a key of ``REGION_CAUSES``."""
        if self._is_inference:
            return 2
        if self.checkpoint_depth:
            return 3
        # off although nobody was seen to switch it off: the inside of a Function whose `apply` was held elsewhere
        return 4 if self.region < 0 and self.enabled_at_start else 1

    def note_change(self, was_enabled: bool, frame: FrameType | None) -> None:
        """Recording has just been switched off or on by what runs in ``frame``; or set to what it was already."""
        switch = grad_switch(frame)
        before = None
        if switch is not None:
            context, is_leaving, is_first = switch
            if is_leaving:
                before = self._end(context)
            elif is_first or self._begun(context) is None:
                self._begin(context)
        if _is_grad_enabled():
            self.region, self.is_torchs = -1, False
        elif before is not None:
            self.region, self.is_torchs = before.region, before.is_torchs
        elif was_enabled:
            self.region, self.is_torchs = region_site(self._sites, frame), is_in_torchs_module(frame)

    def _begin(self, context: object) -> None:
        self._before[id(context)] = _Before(weakref.ref(context), self.region, self.is_torchs, self._is_inference)

    def _begun(self, context: object) -> _Before | None:
        before = self._before.get(id(context))
        # the identity of one that is gone may be another's by now
        return before if before is not None and before.context() is context else None

    def _end(self, context: object) -> _Before | None:
        before = self._begun(context)
        self._before.pop(id(context), None)
        return before

    def keeps_recording(self, frame: FrameType | None) -> bool:
        """Whether an experiment leaves out what is about to switch recording off."""
        return self._keeps_recording is not None and self._keeps_recording(region_site(self._sites, frame))

    def enter_inference(self, context: object, enabled: bool, frame: FrameType | None) -> None:
        """An ``inference_mode`` region begins; one of ``False`` lets gradients be recorded again."""
        self._begin(context)
        if not enabled:
            self.region, self.is_torchs = -1, False
        elif not self._is_inference:
            self.region, self.is_torchs = region_site(self._sites, frame), False
        self._is_inference = enabled

    def leave_inference(self, context: object) -> None:
        """An ``inference_mode`` region ends."""
        before = self._end(context)
        if before is None:
            # it began before all that was seen
            self._is_inference = False
            self.region = -1
        else:
            self.region, self.is_torchs = before.region, before.is_torchs
            self._is_inference = before.is_inference

    def set_initial_region(self, span: SourceSpan) -> None:
        """Gradient recording is off already when the run begins, since ``span``."""
        self.region = self._sites.number_of_span(span)
