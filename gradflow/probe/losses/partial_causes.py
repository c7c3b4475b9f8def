"""Which cuts can take a part of a gradient that arrives by other ways."""

from __future__ import annotations

from collections.abc import Sequence

from gradflow.graph.chance.draws import RANDOM_DRAW
from gradflow.graph.cut_group import CutGroup
from gradflow.graph.derivatives import is_choice
from gradflow.trace.data import Trace

__all__ = ["stopped_again", "takes_a_part"]

_STOPS = frozenset(
    {"detach", "hook-detach", "no-grad", "inference-mode", "numpy-roundtrip", "tensor-rewrap", RANDOM_DRAW}
)

_FOR_ITS_OWN_SAKE = frozenset({"detach", "hook-detach", "no-grad", "inference-mode"})
"""Those that do nothing but stop; what leaves torch or is copied may stop only by the way."""


def takes_a_part(trace: Trace, group: CutGroup) -> bool:
    """Whether a smooth value goes on at a cut and its derivative does not; of what only chooses, there is none."""
    return group.cause in _STOPS or (group.cause == "nondiff-op" and not is_choice(trace, group))


def stopped_again(trace: Trace, way: Sequence[CutGroup]) -> CutGroup | None:
    """The stop on a way that stands behind an operation that had given numbers without a history already.

    A ``.detach()`` of what ``torch.autograd.grad`` gave without ``create_graph=True`` has nothing to stop: whoever
    wrote it did not want a gradient there (saliency as a mask, weights of losses balanced by their gradients).
    """
    is_bare = False
    for group in way:
        if is_bare and group.cause in _FOR_ITS_OWN_SAKE:
            return group
        is_bare = is_bare or (group.cause == "nondiff-op" and not is_choice(trace, group))
    return None
