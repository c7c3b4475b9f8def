"""Whether the score moves with a target whose values were replaced by what was computed from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from gradflow.graph.dependence import Dependence
from gradflow.graph.paths.stand_ins import cuts_behind_stand_ins
from gradflow.probe.laboratory import Laboratory
from gradflow.probe.moving.far_moves import is_moved_by
from gradflow.recording import Recording
from gradflow.recording.gradients import NodeFlow
from gradflow.torch_facts.operations.queries import has

__all__ = ["with_stand_ins"]


def with_stand_ins(
    laboratory: Laboratory,
    recording: Recording,
    target: str,
    flows: Sequence[NodeFlow],
    dependence: Dependence,
    index: Any = None,
) -> tuple[NodeFlow, ...]:
    """The same flows; those that end where such values are put say whether the score moves all the same.

    ``recording`` is the run that ``flows`` are of. Some forward passes where there is such an end, else none.
    """
    rows = {
        flow.operation
        for flow in flows
        if flow.is_end
        and flow.operation >= 0
        and has(recording.name_of(flow.operation), "replaces")
        and cuts_behind_stand_ins(recording, flow.operation, dependence)
    }
    if not rows or not laboratory.has_values:
        return tuple(flows)
    moves = is_moved_by(laboratory, target, index)
    return tuple(replace(flow, moves_score=moves) if flow.operation in rows else flow for flow in flows)
