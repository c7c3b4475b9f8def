"""What experiments tell of the operations at which a gradient ended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gradflow.graph.dependence import Dependence
from gradflow.probe.laboratory import Laboratory
from gradflow.probe.moving.stand_ins import with_stand_ins
from gradflow.probe.moving.unread import unread_unknown, with_unread_parts
from gradflow.probe.moving.written_over import with_written_over
from gradflow.probe.other_runs.redrawn import with_other_draws
from gradflow.recording import Recording
from gradflow.recording.gradients import NodeFlow

__all__ = ["look_at_ends"]


def look_at_ends(
    laboratory: Laboratory,
    recording: Recording,
    target: str,
    flows: Sequence[NodeFlow],
    dependence: Dependence,
    index: Any = None,
) -> tuple[tuple[NodeFlow, ...], tuple[str, ...]]:
    """The same flows; their ends say what became of them by other draws, what was written over, what is not read.

    Also whether the score moves with what was computed from the target and stands in its place. ``index`` is the part
    of the target that is looked at. Besides, what is not known of them.
    """
    found = tuple(flows)
    for add_to in (with_other_draws, with_written_over, with_unread_parts):
        found = add_to(laboratory, recording, target, found)
    return (
        with_stand_ins(laboratory, recording, target, found, dependence, index),
        unread_unknown(laboratory, recording, found),
    )
