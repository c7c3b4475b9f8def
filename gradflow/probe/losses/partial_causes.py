"""Which cuts can take a part of a gradient that arrives by other ways."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gradflow.graph.chance.draws import RANDOM_DRAW
from gradflow.graph.cut_group import CutGroup
from gradflow.graph.dependence import Dependence
from gradflow.graph.derivatives import is_choice
from gradflow.probe.evidence import PartialLoss
from gradflow.recording import Recording

__all__ = ["stopped_again", "stopped_while_switched_off", "takes_a_part"]

_STOPS = frozenset(
    {
        "detach",
        "hook-detach",
        "no-grad",
        "inference-mode",
        "reentrant-checkpoint",
        "numpy-roundtrip",
        "tensor-rewrap",
        RANDOM_DRAW,
    }
)

_FOR_ITS_OWN_SAKE = frozenset({"detach", "hook-detach", "no-grad", "inference-mode"})
"""Those that do nothing but stop; what leaves torch or is copied may stop only by the way."""


def takes_a_part(recording: Recording, group: CutGroup) -> bool:
    """Whether a smooth value goes on at a cut and its derivative does not; of what only chooses, there is none."""
    return group.cause in _STOPS or (group.cause == "nondiff-op" and not is_choice(recording, group))


def stopped_again(recording: Recording, way: Sequence[CutGroup]) -> CutGroup | None:
    """The stop on a way that stands behind an operation that had given numbers without a history already.

    A ``.detach()`` of what ``torch.autograd.grad`` gave without ``create_graph=True`` has nothing to stop: whoever
    wrote it did not want a gradient there (saliency as a mask, weights of losses balanced by their gradients).
    """
    return _stop_behind(way, lambda group: group.cause == "nondiff-op" and not is_choice(recording, group))


def stopped_while_switched_off(dependence: Dependence, difference: float) -> tuple[PartialLoss, ...]:
    """Ways of a parameter that begin where it is told not to require grad, and that are stopped behind that once more.

    Whoever wrote both does not want a gradient there (negative samples that a model draws from itself). Such a way
    cannot be mended to see what it brings: ``difference`` is how far the score is from following the gradient.
    """
    found = {}
    for way in dependence.sides:
        again = _stop_behind(way, lambda group: group.cause == "requires-grad-off")
        if again is not None and way[0].cause == "requires-grad-off":
            found[again.key] = PartialLoss(
                group=way[0], relative_difference=difference, is_mended=False, stopped_again=again
            )
    return tuple(found.values())


def _stop_behind(way: Sequence[CutGroup], is_bare: Callable[[CutGroup], bool]) -> CutGroup | None:
    """The first stop for its own sake that stands behind a place of the way that gives numbers without a history."""
    behind = False
    for group in way:
        if behind and group.cause in _FOR_ITS_OWN_SAKE:
            return group
        behind = behind or is_bare(group)
    return None
