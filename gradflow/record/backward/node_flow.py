"""What passes one autograd node in a backward pass: how much came in, how much went on, and whether it is finite."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch

from gradflow.record.backward.dense_values import numbers_of
from gradflow.record.backward.last_nodes import NodeNote
from gradflow.record.backward.walk import Node
from gradflow.recording import Recording
from gradflow.recording.gradients import ROUNDING, NodeFlow
from gradflow.source.custom_backward import missing_return
from gradflow.torch_facts.module_machinery import BackwardHookFunction
from gradflow.torch_facts.nodes import forward_class

__all__ = ["largest_of", "note_flow"]


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
    function = forward_class(node)

    def hook(outgoing: Sequence[Any], incoming: Sequence[Any]) -> None:
        incomings = [largest_of([gradient]) for gradient in incoming]
        came = max((magnitude for magnitude, _ in incomings if magnitude is not None), default=None)
        went = [largest_of([outgoing[i]]) for i in onwards if i < len(outgoing)]
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


def largest_of(gradients: Sequence[Any]) -> tuple[float | None, bool]:
    """The largest finite magnitude, ``None`` without any gradient; and whether all is finite.

    Infinite where nothing is finite: that is not zero.
    """
    largest: float | None = None
    finite = True
    for gradient in gradients:
        if not isinstance(gradient, torch.Tensor):
            continue
        with torch.no_grad():
            numbers = numbers_of(gradient.detach())
            if numbers is None:
                largest = math.inf  # that is not known to be zero
                continue
            magnitude = numbers.abs()
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
            numbers = numbers_of(gradient.detach()) if isinstance(gradient, torch.Tensor) else None
            if numbers is not None:
                rows = numbers.ne(0)
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
            dense = numbers_of(gradient.detach())
            if dense is None or not dense.numel():
                continue
            if dense.is_complex() or dense.dim() == 0:
                return dense.dim() == 0
            if dense.shape[-1] == 1:
                return False  # of one value nothing can be told
            spread = float((dense.amax(-1) - dense.amin(-1)).abs().amax())
            return spread <= 1e-6 * float(dense.abs().amax())
    return False
