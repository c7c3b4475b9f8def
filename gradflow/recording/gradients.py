"""Gradients in numbers: one of them, and what passed an autograd node on its way back."""

from __future__ import annotations

import math
from dataclasses import dataclass

from gradflow.location import SourceSpan

__all__ = ["ROUNDING", "Measured", "NodeFacts", "NodeFlow", "Unread"]

ROUNDING = 2e-6
"""Relative size below which the sum of float32 numbers that cancel is only their rounding error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A gradient in numbers, norms of the finite entries; ``arrived`` is ``False`` where autograd returned ``None``."""

    arrived: bool
    shape: tuple[int, ...] | None = None
    l2_norm: float | None = None
    max_abs: float | None = None
    entry_count: int = 0
    zero_count: int = 0
    nan_count: int = 0
    inf_count: int = 0

    @property
    def is_zero(self) -> bool:
        """Whether it arrived and every entry is exactly zero."""
        return self.arrived and self.zero_count == self.entry_count

    @property
    def is_unread(self) -> bool:
        """Whether it arrived and its numbers could not be looked at."""
        is_known = self.max_abs is not None or self.nan_count or self.inf_count
        return self.arrived and bool(self.entry_count) and not is_known

    @property
    def is_finite(self) -> bool:
        """Whether it arrived without NaN and without infinity."""
        return self.arrived and not self.nan_count and not self.inf_count


@dataclass(frozen=True, slots=True, kw_only=True)
class Unread:
    """Which indices of a result are read; a gradient that is put in at the others reaches the target.

    ``read`` has one entry for each dimension along which not all are: its number, how many indices there are, and
    which are read. ``other_inputs`` is for how many other values of the input nothing reached the target either.
    """

    shape: tuple[int, ...]
    read: tuple[tuple[int, int, tuple[int, ...]], ...]
    other_inputs: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFacts:
    """What an autograd node tells of its own derivative, for the edges along which nothing goes on.

    Attributes
    ----------
    factor
        The largest magnitude of what the derivative multiplies with, where that is known.
    least_factor
        The smallest one.
    is_staircase
        Whether the derivative is zero whatever the input.
    is_pointwise
        Whether torch says of the operation that it makes each value of the one at the same place.
    is_of_one_entry, ignores_all
        A softmax over a single entry; a loss all of whose labels are the one to ignore.
    is_padding
        An embedding that looks up only the row whose gradient ``padding_idx`` withholds.
    is_of_equals
        A standard deviation or variance of values that are all equal.
    zero_operands
        Which inputs of a product or quotient are all zero and make that nothing goes on.
    """

    factor: float | None = None
    least_factor: float | None = None
    is_staircase: bool = False
    is_pointwise: bool = False
    is_of_one_entry: bool = False
    ignores_all: bool = False
    is_padding: bool = False
    is_of_equals: bool = False
    zero_operands: tuple[int, ...] = ()


_NO_FACTS = NodeFacts()


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFlow:
    """The gradient at one autograd node between score and target, in the order in which backward ran.

    Attributes
    ----------
    incoming, outgoing
        The largest finite magnitude that came in, and that went on along each edge towards the target (``None`` where
        nothing was passed on, infinite where nothing finite was).
    zeros_in, zeros_out
        The share of exact zeros in what came in, and in what went on towards the target; entries along the first
        dimension that get nothing at all, as other samples of a batch do, are left out. Zero where it was not counted.
    is_uniform
        Whether what came in had one and the same value everywhere along the last axis.
    is_sum
        Not what passes the node itself, but what its gradient adds up to with those of other users of the same value.
    is_of_one
        Of such a sum: all that adds up comes from this one operation.
    is_end
        Whether the gradient got here and no further, while none got to the target on any way.
    facts
        At an end: what the node tells of its own derivative.
    zero_parameter
        At an end: the parameter, all zeros, that the operation multiplies with.
    runs_hooks
        Whether it is torch's own node that lets the backward hooks of a module run, and computes nothing itself.
    backward_span
        Where a custom Function fails to return a gradient, as far as its source tells.
    hides
        At an end: the values that get nothing because of it, where several were looked for at once.
    redrawn_count, passed_count
        At an end: in how many runs that draw other random numbers a gradient came in here, and in how many of them it
        went on; zero where nothing is drawn, or that was not asked.
    zeros_go_through
        At an end that is one in all of those: the operations of the run whose first argument was all zeros.
    writes_over
        At an end where values are put in the place of others: whether any of the target's were; ``None`` where that is
        not known.
    moves_score
        At such an end, where what is put there was computed from the target: whether the score was seen to move with
        it; ``None`` where that is not known.
    unread
        At an end: of a result of the operation only other parts are read than those that the target has part in, as an
        experiment shows.
    share
        How much is left where entries of the gradient are added up, at the node or on the way into it, relative to the
        largest of them: next to nothing where they cancel. 1 where that was not looked at.
    """

    name: str
    operation: int
    incoming: float
    outgoing: tuple[float | None, ...]
    incoming_finite: bool = True
    outgoing_finite: bool = True
    zeros_in: float = 0.0
    zeros_out: float = 0.0
    is_uniform: bool = False
    is_sum: bool = False
    is_of_one: bool = False
    is_end: bool = False
    facts: NodeFacts = _NO_FACTS
    zero_parameter: str = ""
    runs_hooks: bool = False
    backward_span: SourceSpan | None = None
    hides: frozenset[int] = frozenset()
    redrawn_count: int = 0
    passed_count: int = 0
    zeros_go_through: frozenset[int] = frozenset()
    writes_over: bool | None = None
    moves_score: bool | None = None
    unread: Unread | None = None
    share: float = 1.0

    @property
    def dies(self) -> bool:
        """Whether a gradient came in and, on some edge, exactly zero or nothing went on."""
        return self.incoming > 0 and any(not magnitude for magnitude in self.outgoing)

    @property
    def cancels(self) -> bool:
        """Whether what went on is only the rounding error of a cancellation."""
        passed = max((magnitude or 0.0 for magnitude in self.outgoing), default=0.0)
        return (self.is_uniform or self.is_sum) and 0 < self.incoming < math.inf and passed <= ROUNDING * self.incoming
