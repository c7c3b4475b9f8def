"""Where zero gradients become zero, for many parameters in one backward pass."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from gradflow.probe.backward_scan import scan_backward
from gradflow.record.run import Run
from gradflow.recording import Recording
from gradflow.recording.gradients import NodeFlow

__all__ = ["nearest_deaths", "scan_deaths"]


def scan_deaths(run: Run, parameters: Sequence[torch.Tensor]) -> tuple[tuple[NodeFlow, ...], str]:
    """The operations of a fresh run at which a gradient came in and zero went on towards some of the parameters.

    Also returns why nothing could be seen, where that is so.
    """
    goals = [torch.autograd.graph.get_gradient_edge(parameter) for parameter in parameters]
    if run.failure is not None or not goals:
        return (), "the second run failed"
    flows, _, reason = scan_backward(run, goals)
    return tuple(flow for flow in flows if flow.operation >= 0 and (flow.dies or flow.cancels)), reason


def nearest_deaths(recording: Recording, deaths: Sequence[NodeFlow]) -> list[int]:
    """For each value the first such operation on its way to the score; -1 where there is none."""
    deadly = {flow.operation for flow in deaths}
    found = [-1] * len(recording.values.producer)
    for operation in range(len(recording) - 1, -1, -1):
        if operation in deadly:
            here = operation
        else:
            onwards = [found[value] for value in recording.outputs_of(operation) if found[value] >= 0]
            here = min(onwards, default=-1)
        if here >= 0:
            for value in recording.inputs_of(operation):
                # the last assignment, by the earliest reader, wins: it is the nearest to the value
                found[value] = here
    return found
