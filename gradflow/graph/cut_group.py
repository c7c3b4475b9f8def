"""What there is to mend: single cuts and regions, and how several that belong together become one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from gradflow.recording import Recording
from gradflow.recording.opaque import OPAQUE
from gradflow.torch_facts.operations.queries import CHANGED_THROUGH_VIEW, decides, has

__all__ = ["NOT_RECORDED", "Bridge", "CutGroup", "cause_of_loss", "merge_cuts", "place_of", "rows_of"]

NOT_RECORDED = "not-recorded"
"""The cause of a cut of which it is not determined why: what the operation read had its history lost meanwhile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bridge:
    """A value that left torch at one operation and came back at another.

    ``how`` is what says so: numbers that were compared, names in the source, or only the order of execution.
    """

    leave: int
    enter: int
    how: Literal["numbers", "source", "order"] = "numbers"


@dataclass(frozen=True, slots=True, kw_only=True)
class CutGroup:
    """One thing to mend: a single operation, or a whole region in which gradients are not recorded.

    ``operation`` is the first operation at which it bites and ``value`` the input whose gradient is lost there;
    ``site`` is where the region was opened, or -1; ``leave`` the operation at which the value left torch, or -1;
    ``prepared_by`` are cuts that only prepare this one, as ``.detach()`` does before ``.numpy()``: to be mended with
    it.
    """

    cause: str
    operation: int
    value: int
    site: int = -1
    leave: int = -1
    prepared_by: tuple[int, ...] = ()

    @property
    def key(self) -> tuple[str, int]:
        """What makes two of them the same thing to mend."""
        return (self.cause, self.site if self.site >= 0 else self.operation)


def place_of(recording: Recording, group: CutGroup) -> tuple[str, str, int]:
    """The expression in the code that is to be mended: one, however many values it cuts and however often it ran."""
    if group.site >= 0:
        return group.cause, "", group.site
    row = _row_in_code(group)
    return group.cause, recording.name_of(row), recording.operations.site[row]


def rows_of(recording: Recording, group: CutGroup) -> tuple[int, ...]:
    """All operations at which the same expression cuts: each in a region without recording, each time that it ran."""
    columns = recording.operations
    if group.site >= 0:
        return tuple(row for row in range(len(recording)) if columns.mode[row] and columns.region[row] == group.site)
    here = _row_in_code(group)
    same = columns.name[here], columns.site[here]
    return tuple(row for row in range(len(recording)) if (columns.name[row], columns.site[row]) == same)


def _row_in_code(group: CutGroup) -> int:
    return group.leave if group.leave >= 0 else group.operation


def merge_cuts(groups: Sequence[CutGroup], recording: Recording) -> tuple[CutGroup, ...]:
    """One thing to mend per cause.

    A ``.detach()`` that only prepares ``.numpy()`` or a copy belongs to that, and a comparison that only prepares
    ``if`` belongs to the decision; so does a ``.detach()`` within the very call that gave numbers without a history
    (``torch.autograd.functional.jacobian`` hands them out detached).
    """
    merged: list[CutGroup] = []
    seen: set[tuple[str, int]] = set()
    for found in groups:
        group = found
        if group.key in seen:
            continue
        if merged and merged[-1].cause == "detach" and group.cause in ("numpy-roundtrip", "tensor-rewrap"):
            if _is_made_of(recording, group, merged[-1].operation):
                before = merged.pop()
                seen.discard(before.key)
                group = replace(group, prepared_by=(*before.prepared_by, before.operation, *group.prepared_by))
        elif (
            merged
            and merged[-1].cause == "nondiff-op"
            and _decides(recording, group)
            and _line(recording, group) == _line(recording, merged[-1])
        ):
            seen.discard(merged.pop().key)
        elif merged and group.cause == "detach" and _is_in_same_call(recording, group, merged[-1]):
            merged[-1] = replace(merged[-1], prepared_by=(*merged[-1].prepared_by, group.operation))
            continue
        seen.add(group.key)
        merged.append(group)
    return tuple(merged)


def _is_in_same_call(recording: Recording, group: CutGroup, before: CutGroup) -> bool:
    site = recording.operations.site
    return before.cause == "nondiff-op" and site[group.operation] == site[before.operation] >= 0


def _is_made_of(recording: Recording, group: CutGroup, operation: int) -> bool:
    """Whether what leaves torch is the result of ``operation``, at most moved, cast or scaled since.

    Where a value is copied within torch, it must be that very result: torch asks nobody to detach what it copies.
    """
    if group.leave < 0:
        is_write = recording.name_of(group.operation) == CHANGED_THROUGH_VIEW
        copying = recording.values.producer[group.value] if is_write else group.operation
        return any(recording.values.producer[value] == operation for value in recording.inputs_of(copying))
    value = next(iter(recording.inputs_of(group.leave)), -1)
    while value >= 0:
        producer = recording.values.producer[value]
        inputs = recording.inputs_of(producer) if producer > operation else ()
        if producer <= operation or len(set(inputs)) != 1:
            return producer == operation
        value = inputs[0]
    return False


def _line(recording: Recording, group: CutGroup) -> tuple[str, int] | None:
    """Where a cut stands; of a decision, where it was taken, not where its outcome came back."""
    span = recording.span_of(group.leave if _decides(recording, group) else group.operation)
    return (span.path, span.line) if span else None


def _decides(recording: Recording, group: CutGroup) -> bool:
    """Whether the value left torch as the condition of a decision."""
    return group.leave >= 0 and decides(recording.name_of(group.leave))


def cause_of_loss(recording: Recording, operation: int) -> str:
    """Why an operation that ran with recording on gave a value without history, though one that it read had one."""
    name = recording.name_of(operation)
    if operation in recording.checkpoint_operations:
        return "reentrant-checkpoint"
    if name.endswith(".apply"):
        return "custom-function"
    if has(name, "switches"):
        return "requires-grad-off"
    if has(name, "imports"):
        return "tensor-rewrap"
    is_unknown = name in OPAQUE or operation in recording.outdated_operations
    return NOT_RECORDED if is_unknown else "nondiff-op"
