"""What became of checking the backward of a custom ``autograd.Function`` against its own forward, as plain data."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from gradflow.location import SourceSpan, is_installed

__all__ = ["FormulaCheck", "FormulaOutcome", "wrong_formulas"]

FormulaOutcome = Literal[
    "right", "wrong", "straight-through", "passes-where-flat", "rescales", "replaces", "undetermined"
]
"""``straight-through``: the forward is a staircase and the backward passes something on all the same;
``passes-where-flat``: they differ only where the forward is flat; ``rescales``: the forward is the identity and the
backward a multiple of it (gradient reversal); ``replaces``: the forward is the identity, the backward is not linear."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FormulaCheck:
    """One application of a Function and one of its inputs.

    Attributes
    ----------
    function
        Name of the class.
    operation, argument
        The ``apply`` in the recording, and the position of the input among its arguments.
    argument_name
        What ``forward`` calls the input; empty where it is not known.
    relative_error
        ``||measured - backward|| / max(...)`` along random directions, where they differ.
    factor
        What the backward of an identity multiplies by.
    dtype
        In which precision the Function was run.
    span, return_span
        Where ``backward`` computes what it returns for this input, and the ``return`` itself.
    reason
        Why nothing could be concluded.
    """

    function: str
    operation: int
    argument: int
    outcome: FormulaOutcome
    argument_name: str = ""
    relative_error: float = 0.0
    factor: float = 1.0
    dtype: str = ""
    span: SourceSpan | None = None
    return_span: SourceSpan | None = None
    reason: str = ""

    @property
    def is_installed(self) -> bool:
        """Whether the backward is part of an installed package, so that it is not the user's to mend."""
        return self.span is not None and is_installed(self.span.path)


def wrong_formulas(checks: Iterable[FormulaCheck]) -> tuple[FormulaCheck, ...]:
    """Those shown to be wrong that stand in the user's own code; a package's formula is its authors' decision."""
    return tuple(check for check in checks if check.outcome == "wrong" and not check.is_installed)
