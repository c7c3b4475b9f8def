"""A layer that is not called itself, while modules that it holds are: it has no output that could be asked about."""

from __future__ import annotations

from gradflow.probe.layer_view import NotCalled
from gradflow.recording import Recording

__all__ = ["what_ran_within"]

_SHOWN = 2


def what_ran_within(recording: Recording, target: str, not_called: NotCalled | None) -> str:
    """Why nothing can be said of the layer itself; empty where nothing in it ran, or code was seen that calls it.

    A ``ModuleList`` that a forward goes over, a module that only holds others, one of which another method is called.
    """
    if not_called is not None and not_called.is_called_somewhere and not_called.kind != "functional-bypass":
        return ""
    if not_called is not None and not_called.is_run_past_hooks:
        return ""  # calling it instead mends that
    ran = [name for name in recording.calls_by_module if name.startswith(f"{target}.")]
    outermost = sorted(name for name in ran if not any(name.startswith(f"{other}.") for other in ran))
    if not outermost:
        return ""
    names = " or ".join(f"`{name}`" for name in outermost[:_SHOWN])
    more = f" (of {len(outermost)})" if len(outermost) > _SHOWN else ""
    return f"it is not called itself and returns nothing: ask for what it holds, such as {names}{more}"
