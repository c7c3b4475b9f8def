"""Calls of modules that ended with an exception which the model caught."""

from __future__ import annotations

from gradflow.source_place import place
from gradflow.trace.data import ModuleCall, Trace

__all__ = ["call_that_raised", "what_raised"]


def call_that_raised(trace: Trace, operation: int) -> ModuleCall | None:
    """The innermost call around an operation that raised; ``None`` where all of them returned, and for -1."""
    number = trace.operations.call[operation] if operation >= 0 else -1
    while number >= 0:
        call = trace.calls[number]
        if call.raised:
            return call
        number = call.parent
    return None


def what_raised(trace: Trace, call: ModuleCall) -> str:
    """In words, with the place of the call."""
    span = trace.site_span(call.site)
    at = f" (called at {place(span)})" if span is not None else ""
    return f"`{call.module}` raised `{call.raised}`, which the model caught, so that it gave no output{at}"
