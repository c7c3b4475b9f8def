"""A recorded run as plain data: operations in order of execution, the values between them, and the module calls."""

from __future__ import annotations

import bisect
import functools
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from gradflow.location import SourceSpan
from gradflow.recording.calls import ModuleCall
from gradflow.recording.columns import Operation, OperationColumns, ValueColumns, ValueMeta
from gradflow.recording.completeness import Completeness
from gradflow.recording.frozen import nothing
from gradflow.recording.opaque import OPAQUE
from gradflow.recording.unseen_call import UnseenCall

__all__ = ["REGION_CAUSES", "Recording"]

REGION_CAUSES = {1: "no-grad", 2: "inference-mode", 3: "reentrant-checkpoint", 4: "custom-function"}
"""What keeps gradients from being recorded, by ``OperationColumns.mode``."""


@dataclass(frozen=True, kw_only=True)
class Recording:
    """One recorded run.

    Attributes
    ----------
    operations, values
        The columns that the recorder filled; nobody writes to them any more.
    names, dtypes
        What the numbers in the columns stand for.
    spans
        Site number to source span.
    lines
        By file and number, the lines at these places and near them as they were when they ran, without line ends.
    calls
        Module calls in order of their start.
    leaf_names
        Value id to ``("parameter", qualified name)``, ``("buffer", name)``, ``("input", "0")`` or ``("opaque", "")``
        (made where the recorder cannot see).
    score
        Value id of the score; -1 when no recorded operation made it.
    layer_values
        For each target layer, the value ids of its output, one per call.
    hook_operations
        Operations that stop a gradient and ran inside a module's hook.
    library_operations
        Operations that ran unrecorded because a module of torch itself switches recording off inside its call.
    outdated_operations
        Operations that ran with recording on and of whose inputs none could pass a gradient when they ran, though one
        did when it was recorded.
    view_operations
        Operations that gave several tensors, some of which are views of what they read: each of those shows that alone.
    checkpoint_operations
        Calls of torch's own reentrant checkpoint.
    hooked
        Values of tensors that got a hook of their own.
    has_hooks
        Whether any tensor got one, be it one of which no value is known.
    met_in_model
        The values that were first seen while the model ran, not before it and not while the score was made.
    callers
        For each site in a library the sites of the program's own that led there, each with the number of the operation
        from which on it was that one; nothing where only libraries ran.
    called_from
        For each site in a function that another function of the program's own called, the sites of those calls,
        likewise.
    unseen_calls
        For each target layer the calls of which no output could be taken.
    flag_switches
        Of each value whose ``requires_grad`` was seen to be switched: from when on, as a number of operations, it was
        what. The first entry, at -1, is what it was before.
    completeness
        Of which events it has all, and what it lacks of the others.
    """

    operations: OperationColumns
    values: ValueColumns
    names: tuple[str, ...]
    dtypes: tuple[str, ...]
    spans: tuple[SourceSpan, ...]
    calls: Sequence[ModuleCall]
    leaf_names: Mapping[int, tuple[str, str]]
    score: int
    layer_values: Mapping[str, tuple[int, ...]]
    initially_enabled: bool = True
    hook_operations: frozenset[int] = frozenset()
    library_operations: frozenset[int] = frozenset()
    outdated_operations: frozenset[int] = frozenset()
    view_operations: frozenset[int] = frozenset()
    checkpoint_operations: frozenset[int] = frozenset()
    hooked: frozenset[int] = frozenset()
    has_hooks: bool = False
    met_in_model: range = range(0)
    callers: Mapping[int, tuple[tuple[int, int], ...]] = field(default_factory=nothing)
    called_from: Mapping[int, tuple[tuple[int, int], ...]] = field(default_factory=nothing)
    unseen_calls: Mapping[str, tuple[UnseenCall, ...]] = field(default_factory=nothing)
    flag_switches: Mapping[int, tuple[tuple[int, bool], ...]] = field(default_factory=nothing)
    completeness: Completeness = field(default_factory=Completeness)
    lines: Mapping[str, Mapping[int, str]] = field(default_factory=nothing)

    def __len__(self) -> int:
        return len(self.operations.name)

    def __iter__(self) -> Iterator[Operation]:
        return (self.operation(i) for i in range(len(self)))

    def name_of(self, operation: int) -> str:
        """The name of an operation as torch names it."""
        return self.names[self.operations.name[operation]]

    def inputs_of(self, operation: int) -> Sequence[int]:
        """Value ids of the tensors that an operation read, in the order of its arguments."""
        columns = self.operations
        return columns.inputs[columns.input_start[operation] : columns.input_start[operation + 1]]

    def outputs_of(self, operation: int) -> Sequence[int]:
        """Value ids of the tensors that an operation made or changed."""
        columns = self.operations
        return columns.outputs[columns.output_start[operation] : columns.output_start[operation + 1]]

    def span_of(self, operation: int) -> SourceSpan | None:
        """Where an operation stands in the user's code."""
        return self.site_span(self.operations.site[operation])

    def site_span(self, site: int) -> SourceSpan | None:
        """The source span of a site number."""
        return self.spans[site] if 0 <= site < len(self.spans) else None

    def spans_from(self, site: int, moment: int) -> Iterator[SourceSpan]:
        """A site, then where its function was called from when so many operations were recorded, and so on.

        It ends with the ``forward`` that the functions run for, or where the call is not known.
        """
        passed: set[int] = set()
        while site not in passed and (span := self.site_span(site)) is not None:
            yield span
            passed.add(site)
            callers = self.called_from.get(site, ())
            known = bisect.bisect_right(callers, moment, key=lambda each: each[0])
            site = callers[known - 1][1] if known else -1

    def way_to(self, operation: int) -> tuple[SourceSpan, ...]:
        """Where an operation stands, and from where the functions around it were called."""
        return tuple(self.spans_from(self.operations.site[operation], operation))

    def module_of(self, operation: int) -> str:
        """Qualified name of the module in whose ``forward`` the operation ran; empty for the model itself."""
        call = self.operations.call[operation]
        return self.calls[call].module if call >= 0 else ""

    def dtype_of(self, value: int) -> str:
        """The dtype of a value, as torch prints it without ``torch.``."""
        return self.dtypes[self.values.dtype[value]]

    def requires_grad_of(self, value: int, *, at: int) -> bool:
        """Whether a value required grad when operation ``at`` ran; at the end, ``len`` of the recording."""
        switches = self.flag_switches.get(value, ())
        if not switches:
            return self.values.requires_grad[value]
        return switches[bisect.bisect_right(switches, at, key=lambda switch: switch[0]) - 1][1]

    def operation(self, i: int) -> Operation:
        """Operation ``i`` as one object."""
        columns = self.operations
        return Operation(
            id=i,
            name=self.name_of(i),
            inputs=tuple(self.inputs_of(i)),
            outputs=tuple(self.outputs_of(i)),
            site=columns.site[i],
            call=columns.call[i],
            grad_enabled=columns.mode[i] == 0,
            inference=columns.mode[i] == 2,
            region=columns.region[i],
            sequence_start=columns.sequence_start[i],
            sequence_end=columns.sequence_end[i],
        )

    def value(self, value: int) -> ValueMeta:
        """Value ``value`` as one object."""
        role, name = self.leaf_names.get(value, ("", ""))
        return ValueMeta(
            id=value,
            producer=self.values.producer[value],
            shape=tuple(self.values.shape[value]),
            dtype=self.dtype_of(value),
            requires_grad=self.values.requires_grad[value],
            role=role,
            name=name,
        )

    @functools.cached_property
    def executed_lines(self) -> frozenset[tuple[str, int]]:
        """(file, line) pairs on which operations were recorded."""
        return frozenset((span.path, span.line) for span in self.spans)

    @functools.cached_property
    def readers(self) -> Mapping[int, Sequence[int]]:
        """The operations that read each value, in their order; values that nothing reads are left out."""
        found: dict[int, list[int]] = {}
        for operation in range(len(self)):
            for value in dict.fromkeys(self.inputs_of(operation)):
                found.setdefault(value, []).append(operation)
        return found

    @functools.cached_property
    def opaque_calls(self) -> Sequence[int]:
        """The operations of which nothing inside is recorded, see :mod:`gradflow.recording.opaque`, in their order."""
        opaque = {number for number, name in enumerate(self.names) if name in OPAQUE}
        return [row for row, number in enumerate(self.operations.name) if number in opaque] if opaque else ()

    @functools.cached_property
    def found_out(self) -> dict[tuple[Hashable, ...], object]:
        """What an analysis has found out, for the next target that asks the same; no part of the recording."""
        return {}

    @functools.cached_property
    def calls_by_module(self) -> dict[str, tuple[ModuleCall, ...]]:
        """The calls of each module that ran, by qualified name."""
        found: dict[str, list[ModuleCall]] = {}
        for call in self.calls:
            found.setdefault(call.module, []).append(call)
        return {name: tuple(calls) for name, calls in found.items()}
