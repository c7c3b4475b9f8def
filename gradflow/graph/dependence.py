"""Which values depend on the target, which of them carry its gradient, and where the two part.

Pure analysis of a recording: one pass forward, one backward, in time linear in its size, and for many targets of one
recording little more. A value *depends* on the target when the target's data went into it; it *carries* the gradient
when, besides, autograd recorded every step since. A *cut* is an operation at which a value that depends goes on and no
longer carries.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from gradflow.graph.cut_group import Bridge, CutGroup, merge_cuts
from gradflow.graph.derivatives import is_differentiable
from gradflow.graph.stretches.reads import inputs_behind, value_inputs
from gradflow.graph.stretches.stretch import Arrival, Found, Stretch
from gradflow.graph.stretches.uses import Uses, used_by_score
from gradflow.recording import Recording

__all__ = [
    "Bridge",
    "CutGroup",
    "Dependence",
    "Dependences",
    "analyse",
    "inputs_behind",
    "is_differentiable",
    "value_inputs",
]

_SPACING, _MOST_SHARED = 32, 512


@dataclass(frozen=True, kw_only=True)
class Dependence:
    """The outcome of :func:`analyse`.

    Attributes
    ----------
    depends, carries, reaches
        One byte per value: depends on the target; carries its gradient; is used by the score.
    score_depends, score_carries
        The same for the score itself.
    needed
        The smallest set of cuts (along one way) that must all be mended for the gradient to arrive; empty where it
        does, and where no way exists. In order from the target to the score.
    cuts
        Every cut whose value the score uses, in order of execution; includes the needed ones.
    sides
        For each way that the score uses and on which the gradient is lost: all that must be mended on it, in order.
    exits
        Operations at which a value that depends on the target left torch.
    way
        The values from the target to the score along the cheapest way.
    """

    depends: bytearray
    carries: bytearray
    reaches: bytearray
    score_depends: bool
    score_carries: bool
    needed: tuple[CutGroup, ...]
    cuts: tuple[CutGroup, ...]
    sides: tuple[tuple[CutGroup, ...], ...]
    exits: tuple[int, ...]
    way: tuple[int, ...]


def analyse(recording: Recording, sources: Sequence[int], bridges: Iterable[Bridge] = ()) -> Dependence:
    """Find what depends on the values ``sources`` and what still carries their gradient."""
    return Dependences(recording, bridges, is_shared=False).of(sources)


class Dependences:
    """The same for many targets of one recording, where what follows of several is walked once.

    From wherever all that depends on a target is one value, what follows is the same for all targets that come by
    there. With ``bridges`` that is not so, as they join places far apart, and for one target it would not pay.
    """

    def __init__(self, recording: Recording, bridges: Iterable[Bridge] = (), *, is_shared: bool = True) -> None:
        self._recording = recording
        self._bridges = {bridge.enter: bridge for bridge in bridges}
        self._found: dict[Arrival, Found] = {}
        # what is kept takes as much memory as there are values, for each place where it is kept
        spacing = max(_SPACING, len(recording) // _MOST_SHARED)
        self._spacing = spacing if is_shared and not self._bridges else len(recording) + 1

    @cached_property
    def _uses(self) -> Uses:
        return Uses(self._recording)

    @cached_property
    def _reaches(self) -> bytearray:
        return used_by_score(self._recording, self._bridges)

    def of(self, sources: Sequence[int]) -> Dependence:
        """What depends on the values ``sources``."""
        recording, reaches = self._recording, self._reaches
        found = self._walk(frozenset(source for source in sources if source >= 0))
        score = recording.score
        needed = merge_cuts(found.on_way, recording)
        cuts: dict[tuple[str, int], CutGroup] = {}
        for group in needed:
            cuts.setdefault(group.key, group)
        for group, outputs in found.cuts:
            if any(reaches[value] for value in outputs):
                cuts.setdefault(group.key, group)
        return Dependence(
            depends=found.depends,
            carries=found.carries,
            reaches=reaches,
            score_depends=score >= 0 and bool(found.depends[score]),
            score_carries=score >= 0 and bool(found.depends[score] and found.carries[score]),
            needed=needed,
            cuts=tuple(sorted(cuts.values(), key=lambda group: group.operation)),
            sides=found.sides,
            exits=found.exits,
            way=found.way,
        )

    def _walk(self, sources: frozenset[int]) -> Found:
        """Stretch by stretch to the end, and back again, with what is known of the rest of the way."""
        stretches = [self._stretch(sources)]
        arrivals = [stretches[0].arrival()]
        while (arrival := arrivals[-1]) is not None and arrival not in self._found:
            stretches.append(self._stretch(frozenset((arrival.value,)), arrival))
            arrivals.append(stretches[-1].arrival())
        while True:
            stretch, arrival = stretches.pop(), arrivals.pop()
            found = stretch.found(arrival, None if arrival is None else self._found[arrival])
            if stretch.begin is None:
                return found
            self._found[stretch.begin] = found

    def _stretch(self, sources: frozenset[int], begin: Arrival | None = None) -> Stretch:
        return Stretch(self._recording, self._uses, sources, self._bridges, begin=begin, spacing=self._spacing)
