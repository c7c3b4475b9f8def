"""How complete a recording is, for each kind of event: seen all; or not, and why."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Literal

from gradflow.recording.frozen import nothing

__all__ = ["Completeness", "Event", "Gap", "Reason"]

Event = Literal[
    "operations",
    "module calls",
    "backward passes",
    "gradients on their way",
    "reads of .grad",
    "hooks",
    "steps",
    "optimizers",
    "flag changes",
    "numbers that left",
]

Reason = Literal[
    "stepped aside",
    "observer failed",
    "interrupted",
    "another thread",
    "another process",
    "out of sight",
    "transform",
    "graph",
    "not remembered",
]
"""``another process``: of what can reach the values of this one, memory that several share; without events nothing can.

``out of sight``: done where gradflow does not look, seen by what it leaves behind; ``graph``: of a backward pass, the
graph could not be looked into; ``not remembered``: there were too many.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Something that was not seen.

    Attributes
    ----------
    why
        What kind of reason there is, and in ``detail`` which, in words.
    events
        Of which kinds; ``None`` for all kinds, from some moment on to the end.
    values
        Which values it can reach; ``None`` for all, and where that is not known.
    missed
        How many of them were not seen, at least; 0 where that is not known.
    """

    why: Reason
    detail: str = ""
    events: frozenset[Event] | None = None
    values: frozenset[int] | None = None
    missed: int = 0

    def reaches(self, values: Collection[int] | None) -> bool:
        """Whether it can have to do with any of these values; with ``None``, with any at all."""
        return values is None or self.values is None or not self.values.isdisjoint(values)


@dataclass(frozen=True, kw_only=True)
class Completeness:
    """What a recording does not have; without anything of that, it has everything.

    Attributes
    ----------
    gaps
        What was not seen.
    given_away
        Values whose memory or text was handed out, and how many operations had run when that first happened: from then
        on they may come back where no operation brings them.
    read_unseen
        Values that operations inside a transform of torch read: those operations are not recorded.
    unrecorded_modules
        Modules of which a call ran where operations are not recorded, and where that was, in words.
    ran_unseen
        Modules that ran although there is no call of theirs.
    """

    gaps: tuple[Gap, ...] = ()
    given_away: Mapping[int, int] = field(default_factory=nothing)
    read_unseen: frozenset[int] = frozenset()
    unrecorded_modules: Mapping[str, str] = field(default_factory=nothing)
    ran_unseen: frozenset[str] = frozenset()

    def lacks(self, event: Event, *, of: Collection[int] | None = None) -> tuple[Gap, ...]:
        """What of one kind of event was not seen, as far as it can reach some values; nothing where all were."""
        return tuple(gap for gap in self.gaps if (gap.events is None or event in gap.events) and gap.reaches(of))

    def has_all(self, *events: Event, of: Collection[int] | None = None) -> bool:
        """Whether all events of these kinds that can reach some values were seen: no other happened."""
        return not any(self.lacks(event, of=of) for event in events)

    @property
    def is_to_the_end(self) -> bool:
        """Whether it was looked until all was over."""
        return all(gap.events is not None for gap in self.gaps)
