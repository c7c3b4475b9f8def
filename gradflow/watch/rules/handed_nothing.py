"""GF303, GF402 to GF407: hooks are given the gradient of an activation, and in every pass there is nothing in it."""

from __future__ import annotations

from gradflow.recording.program.events import HandedGradient
from gradflow.watch.facts.evidence import evidence_for
from gradflow.watch.facts.questions import Question
from gradflow.watch.finding import Finding
from gradflow.watch.observation import Observation
from gradflow.watch.rules.answered import a_gradient_came

__all__ = ["hook_is_handed_nothing"]


def hook_is_handed_nothing(observation: Observation) -> tuple[Finding, ...]:
    """Zero, or not a number, whenever the hook ran: a single pass may lie in a flat place, or be skipped by a scaler.

    Where a part of the program was not watched, another gradient may have come there.
    A score of exactly zero has nothing more to tell: every margin of a hinge loss is kept.
    """
    if not observation.recording.completeness.has_all("backward passes"):
        return ()
    kinds: dict[tuple[int, int], list[HandedGradient]] = {}
    for handed in observation.program.handed:
        kinds.setdefault((handed.site, handed.module), []).append(handed)
    for passes in kinds.values():
        first, backward = passes[0], observation.program.backwards[passes[0].backward]
        if not backward.roots or backward.error or backward.score_is_zero or not _all_alike(passes):
            continue
        question = Question(
            backward=backward,
            backward_number=first.backward,
            score=backward.score,
            target=first.value,
            measured=first.measured,
            site=first.site,
            operation=backward.operation,
        )
        found = a_gradient_came(observation, question, evidence_for(observation, question))
        # a branch may be silent while all parameters learn: say something only where it is seen where the gradient dies
        if found and all(one.diagnostic.location is not None for one in found):
            return found
    return ()


def _all_alike(passes: list[HandedGradient]) -> bool:
    """Whether nothing of use came in any of them, in each for the same reason."""
    if any(handed.is_of_use for handed in passes):
        return False
    return len({handed.measured.is_finite for handed in passes}) == 1
