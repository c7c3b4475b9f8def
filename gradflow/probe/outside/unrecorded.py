"""What nothing may be said of, because operations that may read it ran where they are not recorded."""

from __future__ import annotations

from collections.abc import Sequence

from gradflow.graph.dependence import Dependence
from gradflow.trace.data import Trace
from gradflow.trace.elsewhere.places import IN_TRANSFORM

__all__ = ["unrecorded_parameters", "why_unrecorded"]


def why_unrecorded(trace: Trace, target: str, dependence: Dependence, *, is_layer: bool) -> str:
    """Why the record does not tell what becomes of a target's values; empty where it does."""
    where = trace.unrecorded_modules.get(target, "")
    if is_layer and where == IN_TRANSFORM:
        return f"`{target}` ran {where}, where operations are not recorded"
    owner = "" if is_layer else trace.unrecorded_modules.get(target.rpartition(".")[0], "")
    if any(dependence.depends[value] for value in trace.read_unseen):
        owner = owner or IN_TRANSFORM
    return f"it is read {owner}, where operations are not recorded" if owner else ""


def unrecorded_parameters(trace: Trace, names: Sequence[str]) -> dict[str, str]:
    """Those of which no operation is known to read them, and that may be read by one that is not recorded; and why."""
    found = {}
    for name in names:
        owner = name.rpartition(".")[0]
        value = trace.layer_values[name][0]
        if value in trace.read_unseen:
            found[name] = IN_TRANSFORM
        elif owner in trace.unrecorded_modules:
            found[name] = trace.unrecorded_modules[owner]
    return found
