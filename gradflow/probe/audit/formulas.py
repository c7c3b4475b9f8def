"""Whose gradients come through a custom autograd Function, and whether what its backward hands on is the derivative."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from gradflow.graph.ways_to_score import WaysToScore, upstream_of
from gradflow.probe.evidence import Evidence
from gradflow.probe.examine import examine
from gradflow.probe.gradient import Gradients
from gradflow.probe.laboratory import Laboratory
from gradflow.record.calls.applications import is_custom
from gradflow.record.run import Run
from gradflow.recording import Recording

__all__ = ["FormulaCause", "examine_formulas"]

_MOST_LOOKED_INTO = 16

_Place = tuple[str, int]
"""A Function by its name in the recording, and the position of one of its arguments."""


@dataclass(frozen=True, kw_only=True)
class FormulaCause:
    """A Function whose backward is not the derivative for one argument, with the evidence about one of ``members``."""

    members: tuple[str, ...]
    evidence: Evidence


def examine_formulas(
    laboratory: Laboratory, run: Run, gradients: Mapping[str, Gradients], ways: WaysToScore, arrived: Sequence[str]
) -> tuple[tuple[FormulaCause, ...], tuple[str, ...]]:
    """One entry per Function and argument, and what could not be determined.

    Of the parameters ``arrived``, which do get a gradient, the one nearest to each Function is looked into. The
    laboratory's ``parameters`` are afterwards only those.
    """
    recording = run.recording
    behind = _behind_functions(recording, run.live.functions, arrived)
    undetermined: list[str] = []
    found: dict[_Place, FormulaCause] = {}
    places: dict[str, list[_Place]] = {}
    for place, members in behind.items():
        nearest = max(members, key=lambda name: ways.first_read[recording.layer_values[name][0]])
        places.setdefault(nearest, []).append(place)
    # a repaired run need not hold the gradients of all parameters
    laboratory.parameters = {name: laboratory.parameters[name] for name in list(places)[:_MOST_LOOKED_INTO]}
    for name in laboratory.parameters:
        evidence = examine(laboratory, run, gradients[name], name)
        undetermined += evidence.undetermined
        for place in places[name]:
            here = tuple(one for one in evidence.formulas if (recording.name_of(one.operation), one.argument) == place)
            if here:
                found[place] = FormulaCause(members=behind[place], evidence=replace(evidence, formulas=here))
    for name in list(places)[_MOST_LOOKED_INTO:]:
        undetermined.append(
            f"whether the gradient at `{name}` is right: behind {len(places)} parameters are custom Functions, and "
            f"{_MOST_LOOKED_INTO} of them were looked into"
        )
    return tuple(found.values()), tuple(dict.fromkeys(undetermined))


def _behind_functions(
    recording: Recording, functions: Mapping[str, type], arrived: Sequence[str]
) -> dict[_Place, tuple[str, ...]]:
    """For each argument of each custom Function the parameters that it is made from, where there are any."""
    custom = {name for name, cls in functions.items() if is_custom(cls)}
    columns = recording.operations
    values: dict[_Place, set[int]] = {}
    for row in range(len(recording)) if custom else ():
        if recording.name_of(row) in custom:
            for slot in range(columns.input_start[row], columns.input_start[row + 1]):
                place = recording.name_of(row), columns.argument[slot]
                values.setdefault(place, set()).add(columns.inputs[slot])
    found = {}
    for place, read in values.items():
        before = upstream_of(recording, *{recording.values.producer[value] for value in read} - {-1})
        members = tuple(
            name
            for name in arrived
            if before[recording.layer_values[name][0]] or recording.layer_values[name][0] in read
        )
        if members:
            found[place] = members
    return found
