"""What the experiments found out about one target, as plain data: all that the rules may look at."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from gradflow.graph.dependence import Bridge, CutGroup, Dependence
from gradflow.location import SourceSpan
from gradflow.probe.derivative_check import DerivativeCheck
from gradflow.probe.facts.backward_draws import BackwardDraws
from gradflow.probe.facts.bad_number import BadNumber, BadScore
from gradflow.probe.formula_check import FormulaCheck
from gradflow.record.failure import ForwardFailure
from gradflow.recording import Recording

if TYPE_CHECKING:
    from gradflow.probe.layer_view import NotCalled
    from gradflow.probe.registering.replaced import Replaced

__all__ = [
    "ROUNDING",
    "BackwardError",
    "Evidence",
    "Influence",
    "LeftOutBy",
    "Measured",
    "NodeFlow",
    "PartialLoss",
    "RepairOutcome",
    "SourceState",
    "TakingHook",
    "Unread",
]


ROUNDING = 2e-6
"""Relative size below which the sum of float32 numbers that cancel is only their rounding error."""

LeftOutBy = Literal["", "draw", "values"]
"""What left out a layer that did not run and that further runs call: a random draw, or the values of the input."""


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
    def is_finite(self) -> bool:
        """Whether it arrived without NaN and without infinity."""
        return self.arrived and not self.nan_count and not self.inf_count


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceState:
    """Why the target's own value has no gradient history, or that it has.

    ``recorded`` when autograd follows it. Else ``cause`` is the rule that explains it, ``operation`` the operation at
    which the history before it was lost (-1 when there never was any), ``site`` a grad-mode region. ``left``, where the
    target is made of numbers, the last operation by which values with a history had left torch.
    """

    recorded: bool
    cause: str = ""
    operation: int = -1
    site: int = -1
    left: int = -1
    frozen_parameters: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Influence:
    """Whether the score moves with the target.

    ``matters`` is ``None`` where nothing can be concluded, because of ``reason``. ``bridges`` tell where values that
    left torch came back.
    """

    matters: bool | None
    reason: str = ""
    difference: float = 0.0
    bridges: tuple[Bridge, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RepairOutcome:
    """What came of running again with cuts neutralised.

    ``tried`` is ``False`` where gradflow cannot do it (``reason`` says why); ``arrived`` whether the gradient then
    reached the target, ``l2_norm`` its norm.
    """

    tried: bool
    arrived: bool = False
    l2_norm: float | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartialLoss:
    """How the gradient changes when a partial cut is mended: ``||g_mended - g|| / max(||g_mended||, ||g||)``.

    Where gradflow cannot mend it, ``is_mended`` is ``False`` and the difference is that between how the score moved
    when the layer's values were moved and what the gradient predicts; ``is_tried`` where it could, but the gradient is
    then not finite. ``is_behind_substitute`` where the way leads only through operations whose backward is not their
    derivative. ``is_made_up_for``: the score moves as the gradient says, so with the cut mended it would not be the
    derivative any more. ``others`` are cuts on the same way: the difference is that of mending all of them together.
    ``stopped_again`` is the one of them that is a stop written for its own sake, behind an operation that gave numbers
    without a history: there was nothing left to stop.
    ``is_drawn``: what goes on at the cut is drawn at random with learned values. ``estimates``: the cut belongs to a
    score-function estimator, as its ``draw`` or as a ``weight`` of its likelihood.
    ``output`` is the position of another tensor that the layer returned than the one that is looked at, whose gradient
    this is; -1 for that one.
    """

    group: CutGroup
    relative_difference: float
    is_straight_through: bool = False
    is_mended: bool = True
    is_tried: bool = False
    is_behind_substitute: bool = False
    is_made_up_for: bool = False
    others: tuple[CutGroup, ...] = ()
    stopped_again: CutGroup | None = None
    is_drawn: bool = False
    estimates: Literal["", "draw", "weight"] = ""
    output: int = -1


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
    factor
        At an end: the largest magnitude of what the derivative multiplies with, where that is known.
    least_factor
        At an end: the smallest one.
    is_staircase
        At an end: whether the derivative is zero whatever the input.
    is_pointwise
        At an end: whether torch says of the operation that it makes each value of the one at the same place.
    is_of_one_entry, ignores_all
        At an end: a softmax over a single entry; a loss all of whose labels are the one to ignore.
    is_padding
        At an end: an embedding that looks up only the row whose gradient ``padding_idx`` withholds.
    is_of_equals
        At an end: a standard deviation or variance of values that are all equal.
    zero_operands
        At an end: which inputs of a product or quotient are all zero and make that nothing goes on.
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
    factor: float | None = None
    least_factor: float | None = None
    is_staircase: bool = False
    is_pointwise: bool = False
    is_of_one_entry: bool = False
    ignores_all: bool = False
    is_padding: bool = False
    is_of_equals: bool = False
    zero_operands: tuple[int, ...] = ()
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


@dataclass(frozen=True, slots=True, kw_only=True)
class BackwardError:
    """An exception that ended the backward pass; operations are -1 where not known.

    ``saver`` is the operation whose saved tensor was changed, ``writer`` the operation that changed it; ``freer`` is
    where a gradient call freed the graph. ``lacks_derivative``: autograd's own node for it says that there is no
    formula; ``lacks_for_an_input``: it has one, and not for the input whose gradient was asked for. ``is_own_raise``: a
    ``raise`` of the program made it, so its words are the program's.
    """

    type_name: str
    message: str
    lacks_derivative: bool = False
    lacks_for_an_input: bool = False
    saver: int = -1
    writer: int = -1
    freer: SourceSpan | None = None
    node: str = ""
    span: SourceSpan | None = None
    is_own_raise: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TakingHook:
    """A hook without which a gradient that is zero would be more than zero.

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


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Everything known about the gradient from the score to one target.

    ``is_cancelled``: what arrived is only rounding error; ``absorbed_at`` is then the operation that takes out again
    what the target changes, -1 where none is known to. ``taking_hooks`` are those without which a gradient that is zero
    is more than zero. ``is_partly_seen``: the output's memory was written to in a way that could not be followed, so
    that the gradient is what was measured and maybe more. ``made_in_forward``: the operation of the forward that made
    the NaN or infinity of which the gradient's comes, where one is known to; ``bad_score`` where the score is none;
    ``draws`` what the backward draws at random.
    ``unfollowed``: why it is not known whether what arrived is whole, one for each way that may lead to the score and
    could not be followed; ``undetermined`` has them too. ``unrecorded``: why the record does not tell what becomes of
    the target's values. ``unrun_read``: where code would read a parameter that no operation read, and did not run.
    ``zero_starts`` are parameters of zeros: once moved, a gradient arrives that now is zero. ``starts_of_rest``:
    then one arrives at the rest of the target, and still none at the part that was asked for.
    """

    target: str
    kind: Literal["layer", "parameter"]
    type_name: str
    score: str
    recording: Recording
    dependence: Dependence
    source: SourceState
    measured: tuple[Measured, ...] = ()
    sliced: tuple[Measured, ...] = ()
    slice: str = ""
    call_count: int = 0
    shape: tuple[int, ...] | None = None
    is_trainable: bool = True
    is_buffer: bool = False
    influence: Influence | None = None
    repairs: Mapping[tuple[str, int], RepairOutcome] = field(default_factory=dict)
    repaired_together: RepairOutcome | None = None
    partial: tuple[PartialLoss, ...] = ()
    formulas: tuple[FormulaCheck, ...] = ()
    has_substitutes: bool = False
    derivative: DerivativeCheck | None = None
    flows: tuple[NodeFlow, ...] = ()
    backward_error: BackwardError | None = None
    forward_failure: ForwardFailure | None = None
    not_called: NotCalled | None = None
    left_out_by: LeftOutBy = ""
    frozen_at: SourceSpan | None = None
    registered_at: Mapping[str, SourceSpan] = field(default_factory=dict)
    objective_span: SourceSpan | None = None
    function_spans: Mapping[str, SourceSpan] = field(default_factory=dict)
    is_cancelled: bool = False
    is_partly_seen: bool = False
    made_in_forward: BadNumber | None = None
    bad_score: BadScore | None = None
    draws: BackwardDraws | None = None
    bridges: tuple[Bridge, ...] = ()
    absorbed_at: int = -1
    taking_hooks: tuple[TakingHook, ...] = ()
    undetermined: tuple[str, ...] = ()
    unfollowed: tuple[str, ...] = ()
    unrecorded: str = ""
    unrun_read: SourceSpan | None = None
    replaced: Replaced | None = None
    zero_starts: tuple[str, ...] = ()
    starts_of_rest: tuple[str, ...] = ()

    @property
    def module(self) -> str:
        """The module that the target is, or that holds the parameter: a parameter is none."""
        return self.target if self.kind == "layer" else self.target.rpartition(".")[0]

    @property
    def what_it_gives(self) -> str:
        """What the gradient was asked at, in words: the output of a layer, or the parameter itself."""
        return f"the output of `{self.target}`" if self.kind == "layer" else f"`{self.target}`"

    @property
    def is_inside_compiled(self) -> bool:
        """Whether the layer is a part of compiled code that may have run, in which nothing is recorded."""
        return self.not_called is not None and self.not_called.kind == "compiled-hooks"
