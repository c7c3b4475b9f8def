"""Where the forward pass made a number that is not finite, as plain data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["BadNumber", "BadScore"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BadNumber:
    """The operation whose result has a ``kind`` of which none of the tensors that it was given has any.

    Attributes
    ----------
    operation, kind
        Of an infinity also the one that writes it because it was given it as a plain number.
    is_computed
        An infinity's: whether it was made of finite numbers that have a gradient, and not written on purpose.
    reads_infinity
        A NaN's: whether it was given infinities, such as a mask of ``-inf``.
    is_given
        A NaN's: the operation was given it, and is the first that was: nothing that was recorded made it.
    then
        An infinity's: the operation that was given it and gave NaN; -1 where none is known to.
    """

    operation: int
    kind: Literal["NaN", "infinity"]
    is_computed: bool = False
    reads_infinity: bool = False
    is_given: bool = False
    then: int = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class BadScore:
    """The score is no finite number; ``made`` by what, ``None`` where that is not known.

    ``is_own``: it is made of all outputs, by weights that nobody asked for, and the outputs hold infinities but no NaN,
    as masked logits do.
    """

    kind: Literal["NaN", "infinity"]
    made: BadNumber | None = None
    is_own: bool = False

    @property
    def shown(self) -> str:
        """``"NaN"`` or ``"infinite"``."""
        return "infinite" if self.kind == "infinity" else "NaN"
