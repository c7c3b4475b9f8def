"""A target whose values are thrown away by ``target.data = other``: autograd gives it the gradient of the others."""

from __future__ import annotations

from gradflow.graph.cut_group import CutGroup
from gradflow.probe.evidence import Evidence

__all__ = ["GIVE_A_NAME", "OF_OTHER_VALUES", "THROWN_AWAY", "are_thrown_away"]

OF_OTHER_VALUES = "is that of other values, which took the place of its own"
THROWN_AWAY = "what it held is thrown away here, and other values take its place"
GIVE_A_NAME = "compute with these values in a variable of their own, and leave what is learned as it is"


def are_thrown_away(evidence: Evidence, group: CutGroup) -> bool:
    """Whether the cut is where the target itself gets values that were not made of its own."""
    recording = evidence.recording
    if recording.name_of(group.operation) != "data=":
        return False
    before, *others = recording.inputs_of(group.operation)
    return before in recording.layer_values.get(evidence.target, ()) and not any(
        evidence.dependence.depends[value] for value in others
    )
