"""What the experiments found out about one target, as plain data: all that the rules may look at."""

from __future__ import annotations

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
from gradflow.recording.gradients import Measured, NodeFlow

if TYPE_CHECKING:
    from gradflow.probe.layer_view import NotCalled
    from gradflow.probe.registering.replaced import Replaced

__all__ = [
    "BackwardError",
    "Evidence",
    "Influence",
    "LeftOutBy",
    "PartialLoss",
    "RepairOutcome",
    "SourceState",
    "TakingHook",
]


LeftOutBy = Literal["", "draw", "values"]
"""What left out a layer that did not run and that further runs call: a random draw, or the values of the input."""


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
class BackwardError:
    """An exception that ended the backward pass; operations are -1 where not known.

    ``saver`` is the operation whose saved tensor was changed, ``writer`` the operation that changed it; ``freer`` is
    where a gradient call freed the graph. ``lacks_derivative``: autograd's own node for it says that there is no
    formula; ``lacks_for_an_input``: it has one, and not for the input whose gradient was asked for. ``is_own_raise``: a
    ``raise`` of the program made it, so its words are the program's; ``is_of_function``: it came from the ``backward``
    of an ``autograd.Function``, and from no hook.
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
    is_of_function: bool = True


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
    the target's values; ``may_be_kept``: what it gave before the run may stand in what the model has kept.
    ``entered``: where every recorded way to the score leads over a choice, the operations at which something that
    follows the target comes in from outside the record.
    ``unrun_read``: where code would read a parameter that no operation read, and did not run.
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
    may_be_kept: bool = False
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
    entered: tuple[int, ...] = ()
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
