"""Where a gradient ends because what was computed from the target, without a gradient, takes its place."""

from __future__ import annotations

from gradflow.graph.cut_group import NOT_RECORDED, CutGroup
from gradflow.graph.paths.stand_ins import cuts_behind_stand_ins
from gradflow.probe.evidence import Evidence
from gradflow.recording.gradients import NodeFlow
from gradflow.torch_facts.operations.queries import has

__all__ = ["cuts_behind_end"]


def cuts_behind_end(evidence: Evidence, flow: NodeFlow) -> tuple[CutGroup, ...]:
    """The cuts on the way to the values that the score reads in the place of the target's.

    Nothing where the target was moved and the score did not follow: then it is not these that it reads.
    """
    recording = evidence.recording
    if flow.operation < 0 or not has(recording.name_of(flow.operation), "replaces") or flow.moves_score is False:
        return ()
    groups = cuts_behind_stand_ins(recording, flow.operation, evidence.dependence, evidence.bridges)
    return tuple(group for group in groups if group.cause != NOT_RECORDED)
