"""What an optimizer may hold that nobody saw being made.

One that was made before a watched block and does not step in it, that another thread made, or, for what lies in shared
memory, one of another process.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from gradflow.diagnose.diagnostic import Diagnostic
from gradflow.watch.facts.naming.names import parameter_names
from gradflow.watch.facts.writes import before_writes
from gradflow.watch.finding import Finding
from gradflow.watch.observation import Observation

__all__ = ["without_unseen_holders"]


def without_unseen_holders(
    observation: Observation, found: Iterable[Finding], *, is_block: bool
) -> tuple[list[Finding], tuple[str, ...]]:
    """The findings without those that take an optimizer for absent that may only not have been seen.

    In their place comes what they say where that is not known, or that it is not determined.
    """
    kept: list[Finding] = []
    doubts: dict[str, None] = {}
    lacks = observation.recording.completeness.lacks
    for one in found:
        elsewhere = lacks("optimizers", of=one.unheld)
        if not elsewhere:
            why = "one that was made before the block and does not step in it is not seen"
        elif elsewhere[0].why in ("another thread", "another process"):
            why = f"one that {elsewhere[0].why} made is not seen"
        else:
            why = "one that was made later is not seen"
        older = tuple(
            value
            for value in one.unheld
            if lacks("optimizers", of=(value,)) or (is_block and not _is_made_inside(observation, value))
        )
        if older and one.if_held is None and one.diagnostic.severity == "info":
            continue  # a remark on what may not be so is none
        if older and one.if_held is None:
            names = parameter_names(observation, older)
            doubts[f"whether an optimizer holds {names}, because {why}"] = None
        else:
            kept.append(_weaker(one, one.if_held) if older and one.if_held is not None else one)
    return kept, tuple(doubts)


def _weaker(found: Finding, diagnostic: Diagnostic) -> Finding:
    """A remark stays one."""
    is_remark = found.diagnostic.severity == "info"
    return replace(found, diagnostic=replace(diagnostic, severity="info") if is_remark else diagnostic)


def _is_made_inside(observation: Observation, value: int) -> bool:
    """Whether a parameter came to be in the block: no older optimizer was given it."""
    first = before_writes(observation.recording, value)
    return observation.recording.values.producer[first] >= 0 or any(
        one in observation.program.made_when for one in (value, first)
    )
