"""How complete a recording is, for each kind of event: seen all; the first of so many; not seen, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

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
    "transform",
    "graph",
    "not remembered",
]
"""``another process``: of what can reach the values of this one, memory that several share; without events nothing can.

``graph``: of a backward pass, the graph could not be looked into; ``not remembered``: there were too many.
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
    seen, missed
        How many of them were seen, and how many were not at least; 0 where that is not known.
    """

    why: Reason
    detail: str = ""
    events: frozenset[Event] | None = None
    seen: int = 0
    missed: int = 0


@dataclass(frozen=True, kw_only=True)
class Completeness:
    """What a recording does not have; without anything of that, it has everything.

    Attributes
    ----------
    gaps
        What was not seen.
    given_away
        Values whose memory or text was handed out: they may come back where no operation brings them.
    read_unseen
        Values that operations inside a transform of torch read: those operations are not recorded.
    unrecorded_modules
        Modules of which a call ran where operations are not recorded, and where that was, in words.
    ran_unseen
        Modules that ran although there is no call of theirs.
    """

    gaps: tuple[Gap, ...] = ()
    given_away: frozenset[int] = frozenset()
    read_unseen: frozenset[int] = frozenset()
    unrecorded_modules: Mapping[str, str] = field(default_factory=dict)
    ran_unseen: frozenset[str] = frozenset()

    def lacks(self, event: Event) -> tuple[Gap, ...]:
        """What of one kind of event was not seen; nothing where all were."""
        return tuple(gap for gap in self.gaps if gap.events is None or event in gap.events)

    def has_all(self, *events: Event) -> bool:
        """Whether all events of these kinds were seen: what is not among them did not happen."""
        return not any(map(self.lacks, events))

    @property
    def is_to_the_end(self) -> bool:
        """Whether it was looked until all was over."""
        return all(gap.events is not None for gap in self.gaps)
