"""Calls of a target layer of which no output could be taken: what happened instead of returning a tensor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["UnseenCall"]


@dataclass(frozen=True, slots=True, kw_only=True)
class UnseenCall:
    """One such call.

    ``kind`` is ``"no tensor"`` where it returned something else, ``"raised"`` where it raised and somebody caught the
    exception, ``"inside"`` where it ran within an operation that is recorded as one, ``"own call"`` where its class
    calls it past the hooks of torch. ``what`` is the type of what it returned or raised, the name of that operation, or
    its class; ``site`` where it was called, or else a line inside it.
    """

    kind: Literal["no tensor", "raised", "inside", "own call"]
    what: str
    site: int
