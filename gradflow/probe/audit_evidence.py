"""What an audit found out about the parameters of a model, as plain data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from gradflow.location import SourceSpan
from gradflow.probe.evidence import Evidence

if TYPE_CHECKING:
    from gradflow.probe.registering.replaced import Replaced

__all__ = ["GroupCause", "GroupKind", "OpenQuestion", "ParameterGroup", "UnitCount"]

GroupKind = Literal["module not called", "never read", "cut", "discarded", "lost", "zero", "not finite", "error"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterGroup:
    """Parameters that share a cause; ``members`` in the model's order.

    ``subject`` is what to look into: the outermost module that never ran, else the member whose data is read last, the
    one nearest to the score. ``alike`` are the subjects of other groups that are told together with this one.
    """

    kind: GroupKind
    members: tuple[str, ...]
    subject: str
    alike: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class GroupCause:
    """A group and what was found out about its subject.

    ``evidence`` is ``None`` for parameters that nothing reads; ``owner_type`` and ``assigned_at`` then tell whose they
    are and where. ``zero_factors`` are parameters that start at zero and get a gradient themselves: as soon as they
    have moved, the group gets one too. ``trained_count`` of the members get a gradient when the model runs in train
    mode, ``drawn_count`` when it draws other random numbers. ``redraw_count`` is the number of runs in which other
    draws could have called it and did not. ``for_values_count`` of the members get a gradient for other values of the
    input, ``retry_count`` is the number of such runs in which others of the same module came and went, and these never
    came. ``moved_in_vain`` are parameters that start at zero and multiply where the
    gradient of the group ends, and that do not wake it when they are moved;
    ``is_without_effect``: the group is only added, or meets nothing but zeros that the run made, and the loss stays the
    same when it is moved. ``unrun_read`` is where code would read the subject that nothing reads, and did not run;
    ``replaced`` tells of another tensor that the run put in its place.
    """

    group: ParameterGroup
    evidence: Evidence | None = None
    owner_type: str = ""
    assigned_at: SourceSpan | None = None
    zero_factors: tuple[str, ...] = ()
    trained_count: int = 0
    drawn_count: int = 0
    redraw_count: int = 0
    for_values_count: int = 0
    retry_count: int = 0
    moved_in_vain: tuple[str, ...] = ()
    is_without_effect: bool = False
    unrun_read: SourceSpan | None = None
    replaced: Replaced | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenQuestion:
    """What could not be found out, with the reason; ``names`` are the parameters whose gradient is left unexplained."""

    text: str
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitCount:
    """How many units of one operation's result were zero at all of ``place_count`` samples and positions."""

    operation: int
    unit_count: int
    dead_count: int
    place_count: int
