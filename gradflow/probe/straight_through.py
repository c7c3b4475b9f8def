"""Recognises the straight-through idiom, ``x + (q(x) - x).detach()``: a stop-gradient that is meant.

There the detached value cancels in the forward pass what it replaces: written as a linear combination, ``x`` has the
coefficient
0 in the value and 1 in the gradient (Bengio, Leonard and Courville, 2013, "Estimating or Propagating Gradients Through
Stochastic Neurons for Conditional Computation").
"""

from __future__ import annotations

import heapq

from gradflow.graph.dependence import CutGroup
from gradflow.recording import Recording
from gradflow.torch_facts.operations.queries import has, is_reflected
from gradflow.torch_facts.operations.spelling import operation_of

__all__ = ["is_straight_through"]


def is_straight_through(recording: Recording, group: CutGroup) -> bool:
    """Whether a cut belongs to a sum in which the detached value cancels another one."""
    # the same cut stands before every layer in front of it
    key = is_straight_through.__name__, group.operation, len(recording)
    if key not in recording.found_out:
        recording.found_out[key] = _is_cancelled_after(recording, group.operation)
    return bool(recording.found_out[key])


def _is_cancelled_after(recording: Recording, stop: int) -> bool:
    held = set(recording.outputs_of(stop))
    for operation in range(stop + 1, len(recording)):
        name = recording.name_of(operation)
        if not _is_linear(name) or held.isdisjoint(recording.inputs_of(operation)):
            continue
        held.update(recording.outputs_of(operation))
        if not has(name, "sums"):
            continue
        for output in recording.outputs_of(operation):
            forward = _combination(recording, output, stop_at_detach=False)
            backward = _combination(recording, output, stop_at_detach=True)
            if any(coefficient and not forward.get(value, 0) for value, coefficient in backward.items()):
                return True
    return False


def _combination(recording: Recording, value: int, *, stop_at_detach: bool) -> dict[int, int]:
    """A value as a sum of other values with integer coefficients; empty for what autograd takes for a constant.

    From the last value back, so that each is taken apart once, however many sums it goes into.
    """
    total: dict[int, int] = {}
    coefficients, waiting = {value: 1}, [-value]
    while waiting:
        latest = -heapq.heappop(waiting)
        coefficient = coefficients.pop(latest)
        producer = recording.values.producer[latest]
        name, inputs = (recording.name_of(producer), recording.inputs_of(producer)) if producer >= 0 else ("", ())
        is_stop = stop_at_detach and has(name, "detaches")
        signs = (1,) if has(name, "detaches") else _signs(name)
        if is_stop:
            continue
        if not signs or not inputs:
            total[latest] = coefficient
            continue
        for sign, read in zip(signs, inputs, strict=False):
            if read not in coefficients:
                coefficients[read] = 0
                heapq.heappush(waiting, -read)
            coefficients[read] += sign * coefficient
    return total


def _is_linear(name: str) -> bool:
    return has(name, "detaches") or bool(_signs(name))


def _signs(name: str) -> tuple[int, ...]:
    """With which sign each argument goes into the result; nothing for what is no such sum."""
    if has(name, "sums"):
        other = 1 if operation_of(name) == "add" else -1
        return (other, 1) if is_reflected(name) else (1, other)
    if has(name, "negates"):
        return (-1,)
    # other entries at the same place would be another value
    return (1,) if has(name, "same", "reshapes") else ()
