"""Whether what is found about one target is what is found about another: the same cause, place and words."""

from __future__ import annotations

import re
from collections.abc import Hashable
from dataclasses import dataclass

from gradflow.diagnose.diagnostic import Diagnostic, Help

__all__ = ["Story", "story_of"]

_CODE = re.compile(r"`([^`]*)`")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*(?:e[+-]?\d+)?")
_TARGET, _MEASURED = "`(target)`", "(number)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """All that a finding says, but for whom it is said.

    What was measured is each target's own, and so is the path to it. Numbers in backticks are part of a name.
    ``around`` are the further places, of which a finding has fewer where the target is itself one of them.
    """

    what: Hashable
    around: frozenset[Hashable]

    def is_told_by(self, other: Story) -> bool:
        """Whether "the same for" the one target is true beside the other finding."""
        return self.what == other.what and (self.around <= other.around or self.around >= other.around)


def story_of(found: Diagnostic, target: str) -> Story:
    """What a finding about ``target`` says."""

    def of(text: str) -> str:
        return _without(text, target)

    what = (
        (found.code, found.name, found.severity, found.location),
        (of(found.message), of(found.label)),
        tuple(of(note) for note in found.notes),
        tuple(_way_out(one, target) for one in found.helps),
    )
    return Story(what=what, around=frozenset((one.span, of(one.label)) for one in found.annotations))


def _way_out(help_: Help, target: str) -> Hashable:
    repair = help_.repair
    tried = None if repair is None else (repair.verified, _without(repair.outcome, target))
    return _without(help_.text, target), tried


def _without(text: str, target: str) -> str:
    """A text with the target's name, and that of what is in it, replaced; numbers outside of names too."""
    parts = _CODE.split(text)
    for place, part in enumerate(parts):
        if place % 2:
            parts[place] = _TARGET if _is_of(part, target) else f"`{part}`"
        else:
            parts[place] = _NUMBER.sub(_MEASURED, part)
    return "".join(parts)


def _is_of(name: str, target: str) -> bool:
    return bool(target) and (name == target or name.startswith((f"{target}.", f"{target}[")))
