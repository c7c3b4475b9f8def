"""Calls of a target layer of which no output could be taken: what happened instead of returning a tensor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["UnseenCall"]


@dataclass(frozen=True, slots=True, kw_only=True)
class UnseenCall:
    """One such call.

    ``kind`` is ``"no tensor"`` where it returned something else, ``"raised"`` where it raised and somebody caught the
    exception, ``"inside"`` where it ran within an operation that is recorded as one. ``what`` is the type of what it
    returned or raised, or the name of that operation; ``site`` where it was called.
    """

    kind: Literal["no tensor", "raised", "inside"]
    what: str
    site: int
