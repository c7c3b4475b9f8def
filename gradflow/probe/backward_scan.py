"""Watches one backward pass node by node: where a gradient dies, turns into NaN, or is not handed on.

Only nodes between the score and the target are watched, and only up to a bounded number: a graph whose every node
Python has touched recurses when it is freed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from gradflow.probe.cancellation import with_shares
from gradflow.record.backward.last_nodes import NodeNote, with_ends
from gradflow.record.backward.node_flow import largest_of, note_flow
from gradflow.record.backward.walk import Node, link_operations, on_the_way, walk
from gradflow.record.conduct.whose_error import is_ours, our_error, run_theirs
from gradflow.record.run import Run
from gradflow.recording.gradients import NodeFlow

__all__ = ["scan_backward", "scan_zeros_again"]

_Arrived = dict[tuple[Node, int], float | None]


def scan_backward(
    run: Run, goals: Sequence[Any], *, count_zeros: bool = False
) -> tuple[tuple[NodeFlow, ...], Exception | None, str]:
    """Run backward once from the score to the gradient edges ``goals`` and note what passes each node on the way.

    With ``count_zeros`` also how many entries are zero, which takes as long as all else.

    Returns the notes in the order of execution, what backward raised, and why there are none, if there are none.
    """
    flows, _, error, reason = _scan(run, goals, count_zeros=count_zeros)
    return flows, error, reason


def scan_zeros_again(run: Run, goals: Sequence[Any]) -> tuple[NodeFlow, ...] | None:
    """The same of a graph through which one backward pass has gone already and has brought zeros alone.

    ``None`` where it raises, or brings anything else: then what the model does in backward depends on how often that
    runs, and only another run of the model tells.
    """
    flows, arrived, error, reason = _scan(run, goals, count_zeros=False)
    return flows if error is None and not reason and set(arrived.values()) == {0.0} else None


def _scan(
    run: Run, goals: Sequence[Any], *, count_zeros: bool
) -> tuple[tuple[NodeFlow, ...], _Arrived, Exception | None, str]:
    score = run.live.score
    if score is None or score.grad_fn is None:
        return (), {}, None, "the score has no autograd graph"
    nodes = walk(score.grad_fn)
    goal_nodes = {goal.node for goal in goals}
    way = on_the_way(nodes, goal_nodes)
    operation_of = link_operations(run.recording)
    notes: list[NodeNote] = []
    handles = [
        node.register_hook(note_flow(node, way, notes, operation_of, run.recording, count_zeros=count_zeros))
        for node in way
        if node not in goal_nodes
    ]
    error: Exception | None = None
    arrived: _Arrived = {}
    try:
        # saved tensors are asked about the nodes at which nothing goes on
        gradients = run_theirs(torch.autograd.grad, (score, list(goals)), {"allow_unused": True, "retain_graph": True})
        arrived = {(goal.node, goal.output_nr): largest_of([g])[0] for goal, g in zip(goals, gradients, strict=True)}
    except Exception as raised:  # (whatever a user's backward raises is the finding)
        if is_ours(raised):
            raise our_error(raised) from raised
        error = raised
    finally:
        for handle in handles:
            handle.remove()
    return with_ends(with_shares(notes, arrived), (score.grad_fn,), arrived), arrived, error, ""
