"""A hook without which a gradient that is zero would be more than zero, as plain data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gradflow.location import SourceSpan

__all__ = ["TakingHook"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TakingHook:
    """One such hook.

    ``kind`` and ``owner`` say what it sits on (a tensor inside the forward has no name). ``registered`` is the line
    that put it there, ``defined`` where its code begins; ``None`` where that is not known. ``is_alone`` tells that it
    is enough to leave this one out.
    """

    kind: Literal["parameter", "module", "tensor"]
    owner: str
    defined: SourceSpan | None
    registered: SourceSpan | None
    is_alone: bool = True

    @property
    def shown(self) -> str:
        """The hook by what it sits on."""
        if self.kind == "tensor":
            return "a hook on a tensor of the forward"
        return f"a hook on the {self.kind} `{self.owner}`" if self.owner else "a hook on the model"
