"""Which of several tensors that a layer returned is looked at: the first one that has to do with the score."""

from __future__ import annotations

from collections.abc import Mapping

from gradflow.graph.dependence import analyse
from gradflow.probe.gradient import Gradients
from gradflow.probe.laboratory import Laboratory
from gradflow.probe.moving.influence import find_influence
from gradflow.record.capture import Activation
from gradflow.record.run import Run

__all__ = ["choose_outputs", "told_outputs"]


def choose_outputs(laboratory: Laboratory, run: Run, gradients: Gradients) -> dict[str, int]:
    """The layers of which another tensor than the first is to be looked at, with its position among all.

    A layer is used when anything that it returned is: a gradient there decides, else that the score depends on it, else
    that the score moves with it although its values left torch. Where none of this holds, the first one stays.
    """
    found: dict[str, int] = {}
    if run.failure is not None or gradients.error is not None:
        return found
    for name, taken in run.live.activations.items():
        if any(gradient is not None for gradient in gradients.by_target.get(name, ())):
            continue
        if max((len(activation.values) for activation in taken), default=0) < 2:
            continue
        position = gradients.others.get(name)
        if position is None:
            position = _position_used(laboratory, run, name, taken)
        if position:
            found[name] = position
    return found


def _position_used(laboratory: Laboratory, run: Run, name: str, taken: list[Activation]) -> int:
    recording = run.recording
    leaving: list[tuple[int, tuple[int, ...]]] = []
    for position in range(max(len(activation.values) for activation in taken)):
        at = (activation.values[position] for activation in taken if position < len(activation.values))
        dependence = analyse(recording, tuple(value for value in at if value >= 0))
        if dependence.score_depends:
            return position
        if dependence.exits:
            leaving.append((position, dependence.exits))
    if not laboratory.has_values:
        return 0
    for position, exits in leaving:
        if find_influence(laboratory.with_outputs({name: position}), name, exits).matters:
            return position
    return 0


def told_outputs(run: Run, chosen: Mapping[str, int]) -> tuple[str, ...]:
    """What a report says of the layers of which not the first tensor is looked at."""
    told = []
    for name, position in chosen.items():
        count = max((len(activation.values) for activation in run.live.activations[name]), default=0)
        told.append(
            f"output: tensor {position + 1} of the {count} that `{name}` returns; no gradient reaches any before it"
        )
    return tuple(told)
