"""Parameters that do get a gradient, though some of the ways by which it should come are cut."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from gradflow.graph.chance.draws import RANDOM_DRAW
from gradflow.graph.cut_group import place_of
from gradflow.graph.dependence import Dependence, analyse
from gradflow.graph.ways_to_score import WaysToScore
from gradflow.probe.audit.behind_a_cut import names_before, those_that_change
from gradflow.probe.audit.in_between import cut_ways, in_between, named_upstream
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

    Of the parameters ``arrived``, which do get a gradient, one or two are looked into for each cut on their ways, and
    then those that change most where all cuts are mended of which nothing has been told; whose gradient a cut takes a
    part of, one more run measures. What leaves torch is followed once for all of them.
    """
    recording = run.recording
    values = [recording.layer_values[name][0] for name in arrived]
    recorded = analyse(recording, values)
    exits = number_exits(recording, recorded)
    returned = find_returned_values(laboratory, exits)
    followed = follow_returned(recording, values, recorded, exits, returned)
    everything = laboratory.parameters
    undetermined = list(followed.undetermined)
    found: dict[tuple[str, str, int], tuple[str, Evidence]] = {}
    looked_at: dict[str, None] = {}
    subjects = _subjects(recording, arrived, followed.dependence, ways)
    open_ways = cut_ways(recording, followed.dependence, arrived, gradients)
    unknown: tuple[str, ...] = ()
    while subjects and len(looked_at) < MOST_SUBJECTS:
        told, is_first = len(found), not looked_at
        subjects = subjects[: MOST_SUBJECTS - len(looked_at)]
        looked_at.update(dict.fromkeys(subjects))
        # a repaired run need not hold the gradients of all parameters
        laboratory.parameters = {name: everything[name] for name in looked_at}
        for name in subjects:
            evidence = examine(laboratory, run, gradients[name], name, returned=returned)
            undetermined += evidence.undetermined
            for loss in evidence.partial:
                found.setdefault(place_of(recording, loss.group), (name, replace(evidence, partial=(loss,))))
        laboratory.parameters = everything
        if not is_first and len(found) == told:
            subjects = []  # what changes by the cuts that are left is not told of those that change most
            break
        # what is told of a cut is told of all that come before it
        open_ways = {
            way: names
            for way, names in open_ways.items()
            if found.keys().isdisjoint(place_of(recording, group) for group in way)
        }
        subjects, unknown = in_between(laboratory, recording, open_ways, gradients, looked_at)
    undetermined += unknown
    if subjects:
        undetermined.append(
            f"whether the gradient of {len(subjects)} more parameters is whole, among them `{subjects[0]}`: "
            f"{len(looked_at) + len(subjects)} have ways of their own that are cut, and {len(looked_at)} were looked "
            "into"
        )
    if arrived and not (found or undetermined):
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


def _subjects(recording: Recording, arrived: Sequence[str], dependence: Dependence, ways: WaysToScore) -> list[str]:
    """For each cut the parameter before it that is read first and the one that is read last.

    The one has nearly the whole network between itself and the loss, the other is the nearest to the cut: what goes
    through the cut may be nothing to the one and much to the other. ``dependence`` is of all that ``arrived``.
    """
    in_order = sorted(arrived, key=lambda name: ways.first_read[recording.layer_values[name][0]])
    # what comes back from outside torch was made of what left it, and the record does not say so
    leaving = (cut.leave for way in dependence.sides for cut in way if cut.leave >= 0 and takes_a_part(recording, cut))
    cutting = (cut.operation for cut in dependence.cuts if cut.leave < 0 and takes_a_part(recording, cut))
    rows = dict.fromkeys((*cutting, *leaving, *rows_of_smooth_draws(recording, dependence)))
    found: set[str] = set()
    for members in named_upstream(recording, rows, in_order).values():
        found.update((*members[:1], *members[-1:]))
    return [name for name in in_order if name in found]
