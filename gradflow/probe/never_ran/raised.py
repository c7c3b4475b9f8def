"""Calls of modules that ended with an exception which the model caught."""

from __future__ import annotations

from collections.abc import Iterator

from gradflow.recording import ModuleCall, Recording
from gradflow.source_place import place

__all__ = ["call_that_raised", "raised_before", "what_raised"]


def call_that_raised(recording: Recording, operation: int) -> ModuleCall | None:
    """The innermost call around an operation that raised; ``None`` where all of them returned, and for -1."""
    number = recording.operations.call[operation] if operation >= 0 else -1
    while number >= 0:
        call = recording.calls[number]
        if call.raised:
            return call
        number = call.parent
    return None


def raised_before(recording: Recording, name: str) -> ModuleCall | None:
    """The call that raised before a module within it was called, or a parameter of it was read.

    ``name`` is the qualified name of what no operation is known to belong to. ``None`` where a call of the innermost
    module around it that was called has returned: then what kept it out is something else.
    """
    calls = next((calls for module in _outwards(name) if (calls := recording.calls_by_module.get(module))), ())
    return calls[0] if calls and all(call.raised for call in calls) else None


def _outwards(name: str) -> Iterator[str]:
    """The modules around something, the innermost first; the model itself has returned."""
    parts = name.split(".")[:-1]
    return (".".join(parts[:depth]) for depth in range(len(parts), 0, -1))


def what_raised(recording: Recording, call: ModuleCall) -> str:
    """In words, with the place of the call."""
    span = recording.site_span(call.site)
    at = f" (called at {place(span)})" if span is not None else ""
    return f"`{call.module}` raised `{call.raised}`, which the model caught, so that it gave no output{at}"
