"""Watches one backward pass node by node: where a gradient dies, turns into NaN, or is not handed on.

Only nodes between the score and the target are watched, and only up to a bounded number: a graph whose every node
Python has touched recurses when it is freed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch

from gradflow.probe.autograd_walk import Node, link_operations, on_the_way, walk
from gradflow.probe.cancellation import with_shares
from gradflow.probe.dense_values import dense_values
from gradflow.probe.evidence import ROUNDING, NodeFlow
from gradflow.probe.last_nodes import NodeNote, with_ends
from gradflow.record.conduct.whose_error import is_ours, our_error, run_theirs
from gradflow.record.run import Run
from gradflow.recording import Recording
from gradflow.source.custom_backward import missing_return
from gradflow.torch_facts.module_machinery import BackwardHookFunction

__all__ = ["note_flow", "scan_backward"]


def scan_backward(
    run: Run, goals: Sequence[Any], *, count_zeros: bool = False
) -> tuple[tuple[NodeFlow, ...], Exception | None, str]:
    """Run backward once from the score to the gradient edges ``goals`` and note what passes each node on the way.

    With ``count_zeros`` also how many entries are zero, which takes as long as all else.

    Returns the notes in the order of execution, what backward raised, and why there are none, if there are none.
    """
    score = run.live.score
    if score is None or score.grad_fn is None:
        return (), None, "the score has no autograd graph"
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
    arrived: dict[tuple[Node, int], float | None] = {}
    try:
        # saved tensors are asked about the nodes at which nothing goes on
        gradients = run_theirs(torch.autograd.grad, (score, list(goals)), {"allow_unused": True, "retain_graph": True})
        arrived = {(goal.node, goal.output_nr): _largest([g])[0] for goal, g in zip(goals, gradients, strict=True)}
    except Exception as raised:  # (whatever a user's backward raises is the finding)
        if is_ours(raised):
            raise our_error(raised) from raised
        error = raised
    finally:
        for handle in handles:
            handle.remove()
    return with_ends(with_shares(notes, arrived), (score.grad_fn,), arrived), error, ""


def note_flow(
    node: Node,
    way: set[Node],
    notes: list[NodeNote],
    operation_of: Callable[[Node], int],
    recording: Recording,
    *,
    count_zeros: bool = False,
) -> Callable[[Any, Any], None]:
    """A hook for ``node`` that appends what passes it on the edges into ``way``."""
    onwards = [position for position, (following, _) in enumerate(node.next_functions) if following in way]
    operation = operation_of(node)
    function = getattr(node, "_forward_cls", None)

    def hook(outgoing: Sequence[Any], incoming: Sequence[Any]) -> None:
        incomings = [_largest([gradient]) for gradient in incoming]
        came = max((magnitude for magnitude, _ in incomings if magnitude is not None), default=None)
        went = [_largest([outgoing[i]]) for i in onwards if i < len(outgoing)]
        is_little = any((magnitude or 0.0) <= ROUNDING * (came or 0.0) for magnitude, _ in went)
        # nothing at all, or zeros although something came in
        lost = [
            i for i, (magnitude, _) in zip(onwards, went, strict=False) if not magnitude and (came or magnitude is None)
        ]
        span = None
        if function is not None and lost and operation >= 0:
            span = missing_return(function, _argument_position(recording, operation, lost[0]))
        flow = NodeFlow(
            name=node.name(),
            operation=operation,
            incoming=came or 0.0,
            outgoing=tuple(magnitude for magnitude, _ in went),
            incoming_finite=all(finite for _, finite in incomings),
            outgoing_finite=all(finite for _, finite in went),
            zeros_in=_share_of_zeros(incoming) if count_zeros else 0.0,
            zeros_out=_share_of_zeros([outgoing[i] for i in onwards if i < len(outgoing)]) if count_zeros else 0.0,
            # only asked where it could be a cancellation
            is_uniform=is_little and _is_uniform(incoming),
            runs_hooks=function is BackwardHookFunction,
            backward_span=span,
        )
        magnitudes = tuple(magnitude for magnitude, _ in incomings)
        notes.append(NodeNote(node=node, flow=flow, edges=tuple(onwards[: len(went)]), incoming=magnitudes))

    return hook


def _argument_position(recording: Recording, operation: int, tensor_position: int) -> int:
    """The position among all arguments of ``apply`` of its nth tensor."""
    columns = recording.operations
    start, end = columns.input_start[operation], columns.input_start[operation + 1]
    positions = columns.argument[start:end]
    return positions[tensor_position] if tensor_position < len(positions) else tensor_position


def _largest(gradients: Sequence[Any]) -> tuple[float | None, bool]:
    """The largest finite magnitude, ``None`` without any gradient; and whether all is finite.

    Infinite where nothing is finite: that is not zero.
    """
    largest: float | None = None
    finite = True
    for gradient in gradients:
        if not isinstance(gradient, torch.Tensor):
            continue
        with torch.no_grad():
            magnitude = dense_values(gradient.detach()).abs()
            if not magnitude.numel():
                largest = max(largest or 0.0, 0.0)
                continue
            value = float(magnitude.amax())
            if not math.isfinite(value):
                finite = False
                good = magnitude[torch.isfinite(magnitude)]
                value = (float(good.amax()) if good.numel() else 0.0) or math.inf
            largest = max(largest or 0.0, value)
    return largest, finite


def _share_of_zeros(gradients: Sequence[Any]) -> float:
    zeros = entries = 0
    with torch.no_grad():
        for gradient in gradients:
            if isinstance(gradient, torch.Tensor):
                rows = dense_values(gradient.detach()).ne(0)
                rows = rows.reshape(len(rows), -1) if rows.dim() > 1 and rows.numel() else rows.reshape(1, -1)
                alive = rows[rows.any(1)]
                entries += alive.numel()
                zeros += alive.numel() - int(alive.sum())
    return zeros / entries if entries else 0.0


def _is_uniform(gradients: Sequence[Any]) -> bool:
    for gradient in gradients:
        if not isinstance(gradient, torch.Tensor) or not gradient.numel():
            continue
        with torch.no_grad():
            dense = dense_values(gradient.detach())
            if dense.is_complex() or dense.dim() == 0:
                return dense.dim() == 0
            if dense.shape[-1] == 1:
                return False  # of one value nothing can be told
            spread = float((dense.amax(-1) - dense.amin(-1)).abs().amax())
            return spread <= 1e-6 * float(dense.abs().amax())
    return False
