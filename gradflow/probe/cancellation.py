"""Finds, in what was seen of a backward pass, where large entries of a gradient may have cancelled each other.

A gradient that becomes small step by step, or by small factors, is really there. Only where entries are added up can
next to nothing be left of large ones, and that little be their rounding error.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from gradflow.record.backward.last_nodes import NodeNote
from gradflow.record.backward.node_facts import can_cancel, factor_of
from gradflow.recording.gradients import NodeFlow

if TYPE_CHECKING:
    from gradflow.record.backward.walk import Node

__all__ = ["may_have_cancelled", "with_shares"]

_LITTLE = 1e-2
"""Share of a gradient that a sum has to leave over for it to count as no cancellation.

The rounding error of a million float32 entries is 1e-4 of the largest; a normalisation can make it some hundred times
as large relative to what came in.
"""

_ORDINARY = 0.1
"""Down to this share nothing is asked about the weights that a gradient is multiplied with."""


def may_have_cancelled(flows: Sequence[NodeFlow]) -> bool:
    """Whether there is a place at which little is left of a gradient by addition; also where nothing is known."""
    return not flows or any(flow.share < _LITTLE for flow in flows)


def with_shares(notes: Sequence[NodeNote], arrived: Mapping[tuple[Node, int], float | None]) -> list[NodeNote]:
    """The same notes with ``share`` in each flow; to be asked while the graph holds its saved tensors.

    ``arrived`` is the largest magnitude at each goal.
    """
    shares: list[float] = []
    sent: dict[tuple[Node, int], tuple[float, int]] = {}
    for position, note in enumerate(notes):
        share = 1.0
        for number, total in enumerate(note.incoming):
            largest, _ = sent.pop((note.node, number), (0.0, position))
            share = min(share, _part(total, largest))
        for edge, magnitude in zip(note.edges, note.flow.outgoing, strict=True):
            following, number = note.node.next_functions[edge]
            if not magnitude or following is None:
                continue
            sent[following, number] = max(sent.get((following, number), (0.0, 0)), (magnitude, position))
            adds = can_cancel(note.node) or _adds_otherwise(note.node, following, number)
            share = min(share, _kept(note, edge, magnitude)) if adds else share
        shares.append(share)
    for goal, total in arrived.items():
        largest, position = sent.get(goal, (0.0, 0))
        if largest:
            shares[position] = min(shares[position], _part(total, largest))
    return [
        replace(note, flow=replace(note.flow, share=share)) if share < 1.0 else note
        for note, share in zip(notes, shares, strict=True)
    ]


def _kept(note: NodeNote, edge: int, magnitude: float) -> float:
    """What a node leaves over by addition, its own small factors aside."""
    share = _part(magnitude, note.flow.incoming)
    return share if share >= _ORDINARY else share / (factor_of(note.node, edge) or 1.0)


def _part(some: float | None, whole: float) -> float:
    """Exactly zero is no rounding error."""
    return some / whole if some and whole else 1.0


def _adds_otherwise(node: Node, following: Node, number: int) -> bool:
    """Whether what scales entry by entry adds all the same, by complex products or where broadcasting is undone.

    Also where that is not known.
    """
    came, went = node._input_metadata[0], following._input_metadata[number]
    if came.dtype.is_complex or any(each.is_nested_tensor or each.is_cpp_nested_tensor for each in (came, went)):
        return True
    return bool(math.prod(came.shape) > math.prod(went.shape))
