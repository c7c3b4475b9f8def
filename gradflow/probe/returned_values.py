"""Values that leave torch on a side way and come back as numbers or arrays: which do, and where.

One forward more tells whether any of them is used by the score; only then is each place looked into by itself. What was
seen holds for every target of the run: an audit looks once, and asks of each parameter what became of its own values.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from gradflow.graph.dependence import Bridge, Dependence, analyse, is_differentiable
from gradflow.probe.comparing.checksummed import Checksummed
from gradflow.probe.comparing.checksums import Checksums
from gradflow.probe.differential import Entries, entries_of_change, score_of
from gradflow.probe.laboratory import Laboratory
from gradflow.probe.shifted_exits import Place, ShiftedExits
from gradflow.probe.together.halving import worth_trying
from gradflow.record.seam.intervention import InTurn
from gradflow.recording import Recording
from gradflow.source_place import place as place_in_code
from gradflow.torch_facts.operations.queries import gives_values

__all__ = ["FollowedValues", "ReturnedValues", "find_returned_values", "follow_returned", "number_exits"]

_FEW_PLACES = 6
"""So many places are looked into one by one, more of them together first."""

_MOST_PLACES = 32
"""So many are looked into one by one; of the others it is not known what becomes of their values."""


_KEPT = "that ran in the first run and not in a further one, so something that was kept may have answered in its place"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnedValues:
    """For each place at which values left, where they came back; ``unknown`` says why that is not known of others."""

    entries: Mapping[Place, Entries] = field(default_factory=dict)
    unknown: Mapping[Place, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowedValues:
    """What depends on the values of a target, the ways outside torch included.

    ``bridges`` are those ways, by the place at which they begin, and ``undetermined`` says what is not known.
    """

    dependence: Dependence
    bridges: Mapping[Place, tuple[Bridge, ...]] = field(default_factory=dict)
    undetermined: tuple[str, ...] = ()

    @property
    def entered(self) -> frozenset[int]:
        """The operations at which something came back."""
        return frozenset(bridge.enter for bridges in self.bridges.values() for bridge in bridges)


def number_exits(recording: Recording, dependence: Dependence) -> dict[Place, list[int]]:
    """Where values that could have a gradient left torch, while the score was still being made; rows by place."""
    last = _last_that_counts(recording, dependence)
    found: dict[Place, list[int]] = {}
    for row in dependence.exits:
        if row < last and gives_values(recording.name_of(row)):
            values = recording.inputs_of(row)
            if any(dependence.depends[v] and is_differentiable(recording.dtype_of(v)) for v in values):
                found.setdefault((recording.name_of(row), recording.operations.site[row]), []).append(row)
    return found


def _last_that_counts(recording: Recording, dependence: Dependence) -> int:
    """The last operation that has part in the score: nothing that leaves after it can come back into it."""
    for row in range(len(recording) - 1, -1, -1):
        if any(dependence.reaches[value] for value in recording.outputs_of(row)):
            return row
    return -1


def find_returned_values(laboratory: Laboratory, exits: Mapping[Place, list[int]]) -> ReturnedValues:
    """Shift what leaves at the ``exits`` and see whether the score moves, and where the shift comes back.

    One forward where nothing does; else two more, one for each place, and some to leave out harmless ones of many.
    """
    if not exits:
        return ReturnedValues()
    moved, met = _shifted_together(laboratory, tuple(exits))
    left_out = _left_out(laboratory, [place for place in exits if place not in met])
    if not moved:
        return ReturnedValues(unknown=left_out)
    base, again = laboratory.checksums()
    if score_of(base.run) != score_of(again.run):
        return _unknown(exits, "two runs of the model give different scores")
    tried = worth_trying(tuple(exits), lambda places: not _move_the_score(laboratory, places), _FEW_PLACES)
    entries: dict[Place, Entries] = {}
    for place in tried[:_MOST_PLACES]:
        sums = Checksums()
        # the sums are those of what the program would have been given
        run = laboratory.forward(seam=InTurn(sums, ShiftedExits((place,))))
        if score_of(run) != score_of(base.run):
            entries[place] = entries_of_change(base, again, Checksummed(run=run, sums=sums))
    if not entries and len(tried) <= _MOST_PLACES:
        return _unknown(exits, "the score moves only when several of these values are shifted together")
    # where the runs part, the value only decides what is done
    not_seen = [place for place, found in entries.items() if not found.rows and found.parting < 0]
    reason = f"there are {len(tried)} such places and {_MOST_PLACES} of them were looked into"
    return ReturnedValues(
        entries=entries,
        unknown={
            **dict.fromkeys(not_seen, "the score moves with it and no recorded operation brings it back"),
            **dict.fromkeys(tried[_MOST_PLACES:], reason),
            **left_out,
        },
    )


def follow_returned(
    recording: Recording,
    values: Sequence[int],
    dependence: Dependence,
    exits: Mapping[Place, list[int]],
    returned: ReturnedValues,
) -> FollowedValues:
    """Follow ``values`` on the ways outside torch as well, which begin at their ``exits``.

    Each place is followed by itself, so that the loss is put down to the line at which the value leaves.
    """
    undetermined = []
    own = {place: reason for place, reason in returned.unknown.items() if place in exits}
    for reason in dict.fromkeys(own.values()):
        spans = [recording.site_span(site) for (_, site), why in own.items() if why == reason]
        where = ", ".join(place_in_code(span) for span in spans if span is not None)
        undetermined.append(f"whether what leaves torch at {where} is missing, because {reason}")
    entries = {place: found for place, found in returned.entries.items() if place in exits}
    by_place = {place: _bridges(recording, exits, entries, place) for place in entries}
    found = [analyse(recording, values, bridges) for bridges in by_place.values() if bridges]
    if found:
        sides = tuple(dict.fromkeys(way for each in found for way in each.sides))
        every = tuple(bridge for bridges in by_place.values() for bridge in bridges)
        dependence = replace(analyse(recording, values, every), sides=sides)
    return FollowedValues(dependence=dependence, bridges=by_place, undetermined=tuple(undetermined))


def _move_the_score(laboratory: Laboratory, places: Sequence[Place]) -> bool:
    """Whether the score is another when what leaves at these places is shifted."""
    return _shifted_together(laboratory, places)[0]


def _left_out(laboratory: Laboratory, places: Sequence[Place]) -> dict[Place, str]:
    """Those to which no further run comes, shifted or not."""
    if not places:
        return {}
    recording = laboratory.checksummed_base().run.recording
    reached = {(recording.name_of(row), recording.operations.site[row]) for row in range(len(recording))}
    return {place: _KEPT for place in places if place not in reached}


def _shifted_together(laboratory: Laboratory, places: Sequence[Place]) -> tuple[bool, frozenset[Place]]:
    """The same, and to which of the places the run came."""
    shift = ShiftedExits(frozenset(places))
    moved = laboratory.forward(seam=shift)
    return bool(shift.met) and score_of(moved) != laboratory.first_score, shift.met


def _unknown(places: Iterable[Place], reason: str) -> ReturnedValues:
    return ReturnedValues(unknown=dict.fromkeys(places, reason))


def _bridges(
    recording: Recording, exits: Mapping[Place, list[int]], entries: Mapping[Place, Entries], place: Place
) -> tuple[Bridge, ...]:
    """From the exits of one place to where their shift came back, and did not leave and come back once more."""
    differing = entries[place].differing

    def is_passed_on(leave: int, enter: int, other: Place) -> bool:
        between = [row for row in exits[other] if leave < row < enter]
        return enter in entries[other].rows and any(
            value in differing for row in between for value in recording.inputs_of(row)
        )

    found = []
    for enter in entries[place].rows:
        leave = max((row for row in exits[place] if row < enter), default=-1)
        if leave >= 0 and not any(is_passed_on(leave, enter, other) for other in entries if other != place):
            found.append(Bridge(leave=leave, enter=enter))
    return tuple(found)
