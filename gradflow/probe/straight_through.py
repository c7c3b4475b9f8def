"""Recognises the straight-through idiom, ``x + (q(x) - x).detach()``: a stop-gradient that is meant.

There the detached value cancels in the forward pass what it replaces: written as a linear combination, ``x`` has the
coefficient
0 in the value and 1 in the gradient (Bengio, Leonard and Courville, 2013, "Estimating or Propagating Gradients Through
Stochastic Neurons for Conditional Computation").
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Collection, Sequence

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
    cancelling = _cancelling(recording)
    held = set(recording.outputs_of(stop))
    for operation in range(stop + 1, len(recording) if cancelling else 0):
        name = recording.name_of(operation)
        if not _is_linear(name) or held.isdisjoint(recording.inputs_of(operation)):
            continue
        outputs = recording.outputs_of(operation)
        held.update(outputs)
        # what cancelled may have been added again since
        if has(name, "sums") and any(one in cancelling and _cancels(recording, one) for one in outputs):
            return True
    return False


def _cancelling(recording: Recording) -> frozenset[int]:
    """The values in which a detached value cancels another one, and all that sums and the like make of them.

    Only a sum in which two arguments meet can be the first: one that holds something detached, and one that holds a
    value that some detached value is made of. All others are as their arguments are, and are not taken apart.
    """
    key = (_cancelling.__name__, len(recording))
    if key in recording.found_out:
        return recording.found_out[key]  # type: ignore[return-value]
    linear = [row for row in range(len(recording)) if _is_linear(recording.name_of(row))]
    replaced: set[int] = set()  # what a detached value is made of
    for row in reversed(linear):
        if has(recording.name_of(row), "detaches") or not replaced.isdisjoint(recording.outputs_of(row)):
            replaced.update(recording.inputs_of(row))
    detached: set[int] = set()
    found: set[int] = set()
    for row in linear:
        name, inputs, outputs = recording.name_of(row), recording.inputs_of(row), recording.outputs_of(row)
        if has(name, "detaches"):
            detached.update(outputs)
            continue
        if not replaced.isdisjoint(inputs):
            replaced.update(outputs)
        if detached.isdisjoint(inputs):
            continue
        detached.update(outputs)
        if not found.isdisjoint(inputs) or (
            has(name, "sums") and _meet(inputs, detached, replaced) and any(_cancels(recording, one) for one in outputs)
        ):
            found.update(outputs)
    recording.found_out[key] = frozenset(found)
    return frozenset(found)


def _meet(inputs: Sequence[int], detached: Collection[int], replaced: Collection[int]) -> bool:
    pairs = itertools.permutations(range(len(inputs)), 2)
    return any(inputs[one] in detached and inputs[other] in replaced for one, other in pairs)


def _cancels(recording: Recording, value: int) -> bool:
    """Whether a value does not count in another one, which hands a gradient on to it."""
    forward = _combination(recording, value, stop_at_detach=False)
    backward = _combination(recording, value, stop_at_detach=True)
    return any(coefficient and not forward.get(one, 0) for one, coefficient in backward.items())


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
