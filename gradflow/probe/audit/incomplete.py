"""Parameters that do get a gradient, though some of the ways by which it should come are cut."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from gradflow.graph.chance.draws import RANDOM_DRAW
from gradflow.graph.cut_group import place_of
from gradflow.graph.dependence import Dependence, analyse
from gradflow.graph.ways_to_score import WaysToScore, upstream_of
from gradflow.probe.audit.behind_a_cut import names_before, those_that_change
from gradflow.probe.derivative.harmful import harmful_losses
from gradflow.probe.evidence import Evidence
from gradflow.probe.examine import examine
from gradflow.probe.gradient import Gradients
from gradflow.probe.laboratory import Laboratory
from gradflow.probe.losses.draws import rows_of_smooth_draws
from gradflow.probe.losses.partial_causes import takes_a_part
from gradflow.probe.outside.entering import unseen_ways
from gradflow.probe.partial_losses import any_is_alive
from gradflow.probe.returned_values import find_returned_values, follow_returned, number_exits
from gradflow.record.run import Run
from gradflow.recording import Recording

__all__ = ["IncompleteCause", "examine_incomplete"]

MOST_SUBJECTS = 16
"""So many parameters are looked into; each may cost a few forward passes."""


@dataclass(frozen=True, kw_only=True)
class IncompleteCause:
    """A cut on some ways of the ``members``, with the evidence about one of them."""

    members: tuple[str, ...]
    evidence: Evidence


def examine_incomplete(
    laboratory: Laboratory, run: Run, gradients: Mapping[str, Gradients], ways: WaysToScore, arrived: Sequence[str]
) -> tuple[tuple[IncompleteCause, ...], tuple[str, ...]]:
    """One entry per cut that takes a part of a gradient, and what could not be determined.

    Of the parameters ``arrived``, which do get a gradient, one or two are looked into for each cut on their ways; whose
    gradient a cut takes a part of, one more run measures. What leaves torch is followed once for all of them. The
    laboratory's ``parameters`` are afterwards only those that were looked into.
    """
    recording = run.recording
    values = [recording.layer_values[name][0] for name in arrived]
    recorded = analyse(recording, values)
    exits = number_exits(recording, recorded)
    returned = find_returned_values(laboratory, exits)
    followed = follow_returned(recording, values, recorded, exits, returned)
    subjects = _subjects(recording, ways, arrived, followed.dependence)
    looked_at, left_out = subjects[:MOST_SUBJECTS], subjects[MOST_SUBJECTS:]
    undetermined = list(followed.undetermined)
    if left_out:
        undetermined.append(
            f"whether the gradient of {len(left_out)} more parameters is whole, among them `{left_out[0]}`: "
            f"{len(subjects)} have ways of their own that are cut, and {MOST_SUBJECTS} were looked into"
        )
    everything = laboratory.parameters
    # a repaired run need not hold the gradients of all parameters
    laboratory.parameters = {name: everything[name] for name in looked_at}
    found: dict[tuple[str, str, int], tuple[str, Evidence]] = {}
    for name in looked_at:
        evidence = examine(laboratory, run, gradients[name], name, returned=returned)
        undetermined += evidence.undetermined
        for loss in evidence.partial:
            found.setdefault(place_of(recording, loss.group), (name, replace(evidence, partial=(loss,))))
    if arrived and not (found or undetermined):
        laboratory.parameters = everything
        undetermined += unseen_ways(
            laboratory, recording, followed.dependence, arrived, "a parameter", followed.entered
        )
    causes = [IncompleteCause(members=(name,), evidence=evidence) for name, evidence in found.values()]
    harmful = [cause for cause in causes if harmful_losses(cause.evidence)]
    losses = [cause.evidence.partial[0] for cause in harmful]
    before = [names_before(recording, ways, loss, arrived) for loss in losses]
    # what gets zeros alone through a recorded draw is told as that
    before = [
        tuple(name for name in names if any_is_alive(gradients[name].by_target[name]))
        if loss.group.cause == RANDOM_DRAW
        else names
        for loss, names in zip(losses, before, strict=True)
    ]
    changing = those_that_change(
        laboratory, recording, losses, before, lambda name: gradients[name].by_target[name], everything
    )
    members = {id(cause): names for cause, names in zip(harmful, changing, strict=True)}
    return tuple(
        replace(cause, members=_in_order(arrived, (*cause.members, *members.get(id(cause), ())))) for cause in causes
    ), tuple(dict.fromkeys(undetermined))


def _in_order(names: Sequence[str], some: Sequence[str]) -> tuple[str, ...]:
    return tuple(name for name in names if name in some)


def _subjects(recording: Recording, ways: WaysToScore, arrived: Sequence[str], dependence: Dependence) -> list[str]:
    """For each cut the parameter before it that is read first and the one that is read last.

    The one has nearly the whole network between itself and the loss, the other is the nearest to the cut: what goes
    through the cut may be nothing to the one and much to the other. ``dependence`` is of all that ``arrived``.
    """
    value_of = {name: recording.layer_values[name][0] for name in arrived}
    in_order = sorted(arrived, key=lambda name: ways.first_read[value_of[name]])
    # what comes back from outside torch was made of what left it, and the record does not say so
    leaving = (cut.leave for way in dependence.sides for cut in way if cut.leave >= 0 and takes_a_part(recording, cut))
    cutting = (cut.operation for cut in dependence.cuts if cut.leave < 0 and takes_a_part(recording, cut))
    found: dict[str, None] = {}
    for operation in dict.fromkeys((*cutting, *leaving, *rows_of_smooth_draws(recording, dependence))):
        before = upstream_of(recording, operation)
        members = [name for name in in_order if before[value_of[name]]]
        found.update(dict.fromkeys((*members[:1], *members[-1:])))
    return sorted(found, key=in_order.index)
