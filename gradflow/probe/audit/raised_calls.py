"""Parameters that nothing read because a call of their module raised, and somebody caught what it raised."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gradflow.trace.calls.raised import what_raised
from gradflow.trace.data import Trace

__all__ = ["that_raised"]


def that_raised(trace: Trace, names: Sequence[str]) -> dict[str, str]:
    """Those of parameters whose module, or one around it, ended every call with an exception; and which one that was.

    Parameters
    ----------
    trace
        A run that came to its end.
    names
        Qualified names of parameters that no operation read.
    """
    found = {}
    for name in names:
        # the innermost one that was called: what stands further out did call it
        calls = next((calls for module in _outwards(name) if (calls := trace.calls_by_module.get(module))), ())
        if calls and all(call.raised for call in calls):
            found[name] = what_raised(trace, calls[0])
    return found


def _outwards(parameter: str) -> Iterator[str]:
    """The modules that it is in, the innermost first; the model itself has returned."""
    parts = parameter.split(".")[:-1]
    return (".".join(parts[:depth]) for depth in range(len(parts), 0, -1))
