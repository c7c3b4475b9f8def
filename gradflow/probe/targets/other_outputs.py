"""What a layer returns besides the tensor that is looked at: whether cuts keep a gradient from it.

The mean of an encoder may get its whole gradient, and the variance beside it, which the score uses as well, none.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from gradflow.graph.cut_group import CutGroup
from gradflow.graph.dependence import Dependence, analyse, is_differentiable
from gradflow.probe.derivative_check import DerivativeCheck
from gradflow.probe.directional import check_derivative
from gradflow.probe.evidence import PartialLoss
from gradflow.probe.gradient import differentiate
from gradflow.probe.laboratory import Laboratory
from gradflow.probe.losses.partial_causes import takes_a_part
from gradflow.probe.partial_losses import PartialLosses
from gradflow.probe.returned_values import find_returned_values, follow_returned, number_exits
from gradflow.probe.together.apart import each_by_itself
from gradflow.record.run import Run
from gradflow.recording import Recording

__all__ = ["LossesElsewhere", "losses_at_other_outputs"]

MOST_OUTPUTS = 8
"""So many further outputs behind which something is cut are looked into; each costs some forward passes."""


@dataclass(slots=True, kw_only=True)
class LossesElsewhere:
    """What the other outputs lack, and of which ways that is not known; see :class:`PartialLosses`."""

    losses: list[PartialLoss] = field(default_factory=list)
    undetermined: list[str] = field(default_factory=list)
    unmeasured: list[str] = field(default_factory=list)
    in_steps: list[str] = field(default_factory=list)


def losses_at_other_outputs(
    laboratory: Laboratory, run: Run, target: str, substitutes: frozenset[int]
) -> LossesElsewhere:
    """How much of the gradient at each further output of a layer is missing, for the cuts behind it.

    Costs nothing but looking at the record where nothing behind them is cut. What is cut within the layer itself is no
    matter of what it hands on.
    """
    found = LossesElsewhere()
    count = 0
    for position, dependence in _cut_outputs(laboratory, run, target):
        count += 1
        if count > MOST_OUTPUTS:
            found.unmeasured.append(
                f"whether the gradient at tensor {position + 1} of those that `{target}` returns is whole, because "
                f"{MOST_OUTPUTS} others were looked into"
            )
            continue
        elsewhere = laboratory.with_outputs({target: position})
        again = elsewhere.forward()
        together = differentiate(again, elsewhere.parameters)
        given = each_by_itself(together, elsewhere.forward, elsewhere.parameters)[target].by_target.get(target, ())
        again.live.score = None
        losses = PartialLosses(elsewhere, again.recording, target, given, substitutes, _Compared(elsewhere, target))
        partial = losses.on_side_ways(dependence)
        found.losses += [
            replace(loss, output=position) for loss in partial if not _is_inside(run.recording, target, loss.group)
        ]
        found.undetermined += losses.undetermined
        found.unmeasured += losses.unmeasured
        found.in_steps += losses.in_steps
    return found


def _cut_outputs(laboratory: Laboratory, run: Run, target: str) -> Iterator[tuple[int, Dependence]]:
    """The other outputs behind which a way to the score is cut, with what depends on them."""
    recording = run.recording
    values_at = _values_of_others(laboratory, run, target)
    if not values_at:
        return
    every = [value for values in values_at.values() for value in values]
    # what leaves torch is shifted once for all of them
    returned = find_returned_values(laboratory, number_exits(recording, analyse(recording, every)))
    for position, values in values_at.items():
        dependence = analyse(recording, values)
        exits = number_exits(recording, dependence)
        dependence = follow_returned(recording, values, dependence, exits, returned).dependence
        sides = tuple(way for way in dependence.sides if not any(_is_inside(recording, target, group) for group in way))
        if any(all(takes_a_part(recording, group) for group in way) for way in sides):
            yield position, replace(dependence, sides=sides)


def _values_of_others(laboratory: Laboratory, run: Run, target: str) -> dict[int, list[int]]:
    """The values that all calls returned at each position that is not looked at, each value once."""
    recording, taken = run.recording, run.live.activations.get(target, [])
    looked_at = laboratory.outputs.get(target, 0)
    # a call that returned fewer is looked at by its first one
    known = {
        activation.values[looked_at if looked_at < len(activation.values) else 0]
        for activation in taken
        if activation.values
    }
    found: dict[int, list[int]] = {}
    for position in range(max((len(activation.values) for activation in taken), default=0)):
        at = (activation.values[position] for activation in taken if position < len(activation.values))
        values = [v for v in at if v >= 0 and v not in known and is_differentiable(recording.dtype_of(v))]
        if position != looked_at and values:
            found[position] = values
            known.update(values)
    return found


def _is_inside(recording: Recording, target: str, group: CutGroup) -> bool:
    row = group.leave if group.leave >= 0 else group.operation
    return any(call.first_operation <= row < call.end_operation for call in recording.calls_by_module.get(target, ()))


@dataclass(frozen=True, slots=True)
class _Compared:
    """The gradient at the output that a laboratory means, against how the score moves."""

    laboratory: Laboratory
    target: str

    def __call__(self, *, is_far: bool = False) -> DerivativeCheck:
        return check_derivative(self.laboratory, self.target, thorough=False, is_far=is_far)
