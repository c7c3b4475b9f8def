"""What nothing may be said of, because operations that may read it ran where they are not recorded."""

from __future__ import annotations

from collections.abc import Sequence

from gradflow.graph.dependence import Dependence
from gradflow.probe.differential import score_of
from gradflow.probe.laboratory import Laboratory
from gradflow.probe.together.halving import worth_trying
from gradflow.record.elsewhere.places import IN_TRANSFORM
from gradflow.recording import Recording

__all__ = ["read_all_the_same", "unrecorded_parameters", "why_unrecorded"]

_FEW = 2
"""So many are looked at one by one, more of them together first."""

_MOST = 32
"""So many are looked at one by one; of the others it is not known."""


def why_unrecorded(recording: Recording, target: str, dependence: Dependence, *, is_layer: bool) -> str:
    """Why the record does not tell what becomes of a target's values; empty where it does."""
    where = recording.completeness.unrecorded_modules.get(target, "")
    if is_layer and (where == IN_TRANSFORM or (where and not _is_read(recording, target))):
        return f"`{target}` ran {where}, where operations are not recorded"
    owner = "" if is_layer else recording.completeness.unrecorded_modules.get(target.rpartition(".")[0], "")
    if any(dependence.depends[value] for value in recording.completeness.read_unseen):
        owner = owner or IN_TRANSFORM
    return f"it is read {owner}, where operations are not recorded" if owner else ""


def _is_read(recording: Recording, layer: str) -> bool:
    """Whether anything that is recorded goes on with what a layer returned: the rest is done where it ran."""
    return any(value == recording.score or value in recording.readers for value in recording.layer_values[layer])


def unrecorded_parameters(recording: Recording, names: Sequence[str]) -> dict[str, str]:
    """Those of which no operation is known to read them, and that may be read by one that is not recorded; and why."""
    found = {}
    for name in names:
        owner = name.rpartition(".")[0]
        value = recording.layer_values[name][0]
        if value in recording.completeness.read_unseen:
            found[name] = IN_TRANSFORM
        elif owner in recording.completeness.unrecorded_modules:
            found[name] = recording.completeness.unrecorded_modules[owner]
    return found


def read_all_the_same(laboratory: Laboratory, names: Sequence[str]) -> dict[str, str]:
    """Those of parameters that no recorded operation reads with which the score moves, or may move, and which of it.

    One forward pass where it moves with none.
    """
    if not names or not _moves_the_score(laboratory, names):
        return {}
    if score_of(laboratory.forward()) != laboratory.first_score:
        return {}  # it moves by itself
    left = worth_trying(list(names), lambda some: not _moves_the_score(laboratory, some), _FEW)
    tried = [name for name in left[:_MOST] if _moves_the_score(laboratory, [name])]
    rest = f"the score may move with it ({len(left)} such parameters were found, and {_MOST} tried by themselves)"
    return {**dict.fromkeys(tried, "the score moves with it"), **dict.fromkeys(left[_MOST:], rest)}


def _moves_the_score(laboratory: Laboratory, names: Sequence[str]) -> bool:
    run = laboratory.forward_all_moved(names)
    return score_of(run) != laboratory.first_score
