"""Where numbers that follow a target come into the record although nothing recorded brings them.

A thread, a compiled function, a file in memory, text: what went through them comes back as a tensor or a number without
a past. Beside a way that is whole the gradient looks right, and may lack all that came by this one. One run with the
target moved a little, compared operation by operation with one that is as it was, shows whether there is such a way.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import torch

from gradflow.graph.dependence import Dependence, is_differentiable
from gradflow.probe.comparing.checksummed import Checksummed
from gradflow.probe.comparing.checksums import Checksums
from gradflow.probe.differential import Alteration, differs, entries_of_change, moved, score_of
from gradflow.probe.laboratory import Laboratory
from gradflow.probe.outside.candidates import is_followed_by_autograd, may_come_from_outside
from gradflow.record.moving import CannotMoveError
from gradflow.recording import Recording
from gradflow.source_place import place

__all__ = ["rows_entered_unseen", "unseen_ways"]

_SEED = 31
_SHARE = 0.01
"""Of a move that makes decisions flip: small enough to leave the program's way as it is, large enough to be seen."""


def rows_entered_unseen(
    laboratory: Laboratory,
    recording: Recording,
    dependence: Dependence,
    targets: Sequence[str],
    known: Collection[int] = (),
) -> tuple[int, ...]:
    """Operations into which something comes that moves with a layer or some parameters.

    What comes in is used by the score, and autograd does not know of it.

    Costs nothing where everything has a recorded origin, else two forward passes. ``known`` are operations of which it
    is known already what comes in there.
    """
    if not may_come_from_outside(recording, dependence):
        return ()
    base = laboratory.checksummed_base()
    if score_of(base.run) != laboratory.first_score:
        return ()  # noise moves as well as the target does
    sums = Checksums()
    run = laboratory.forward_altered(targets, sums, _nudged)
    if run.unmoved:
        return ()
    entered = _entered(base, dependence, Checksummed(run=run, sums=sums), targets)
    return tuple(row for row in entered if row not in known)


def unseen_ways(
    laboratory: Laboratory,
    recording: Recording,
    dependence: Dependence,
    targets: Sequence[str],
    what: str,
    known: Collection[int] = (),
) -> tuple[str, ...]:
    """What is to be said of :func:`rows_entered_unseen`, once for each place; ``what`` names the targets."""
    rows = rows_entered_unseen(laboratory, recording, dependence, targets, known)
    found = []
    for span in dict.fromkeys(recording.span_of(row) for row in rows):
        where = f"at {place(span)}" if span is not None else "inside a library"
        found.append(
            f"whether the gradient is whole, because a value that follows {what} comes in {where} from outside the "
            "record"
        )
    return tuple(found)


def _entered(
    base: Checksummed, dependence: Dependence, changed: Checksummed, targets: Sequence[str]
) -> tuple[int, ...]:
    recording = base.run.recording
    memory = {recording.values.memory[value] for name in targets for value in recording.layer_values.get(name, ())}
    moved_values = {value for value, lies_in in enumerate(recording.values.memory) if lies_in in memory}
    entries = entries_of_change(base, base, changed, moved_values)
    return tuple(
        row
        for row in entries.rows
        if any(
            dependence.reaches[value] and is_differentiable(recording.dtype_of(value))
            for value in recording.outputs_of(row)
        )
        and _has_no_gradient(recording, row, moved_values, entries.differing, base.sums, changed.sums)
    )


def _has_no_gradient(
    recording: Recording,
    row: int,
    moved_values: Collection[int],
    differing: frozenset[int],
    base: Checksums,
    changed: Checksums,
) -> bool:
    """Whether what comes in there could have a gradient, and autograd does not follow it."""
    inputs = recording.inputs_of(row)
    fresh = [
        value
        for value in inputs
        if value not in moved_values and differs(base.outside_sums, changed.outside_sums, value)
    ]
    if fresh:
        return any(
            is_differentiable(recording.dtype_of(value)) and not is_followed_by_autograd(recording, value)
            for value in fresh
        )
    if differs(base.argument_sums, changed.argument_sums, row):
        return differs(base.number_sums, changed.number_sums, row)
    return differing.isdisjoint(inputs)


def _nudged(layer: str, call: int, activation: torch.Tensor) -> torch.Tensor:
    if not (activation.is_floating_point() or activation.is_complex()):
        raise CannotMoveError("it has no values that could be moved a little")
    far = _FAR(layer, call, activation)
    return activation + _SHARE * (far - activation)


_FAR: Alteration = moved(_SEED)
