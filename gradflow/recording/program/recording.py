"""What was seen of a program while it ran: the operations, and all that happened to gradients."""

from __future__ import annotations

import bisect
import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from gradflow.location import SourceSpan
from gradflow.recording import Recording
from gradflow.recording.frozen import nothing
from gradflow.recording.program.events import (
    Backward,
    EmptiedGradient,
    Failure,
    FlagChange,
    GradRead,
    HandedGradient,
    Hook,
    Optimizer,
    TensorHook,
)
from gradflow.recording.program.module_events import ModuleFlag, PlainTensor, Replacement, WatchedModule

__all__ = ["ProgramRecording"]


@dataclass(frozen=True, kw_only=True)
class ProgramRecording:
    """Everything that was seen of a program.

    ``returned`` tells for an operation which earlier ones had taken its numbers out of torch, ``left_partly`` are those
    that took out more than was looked at; ``made_at`` tells at which site a parameter was made, ``made_when`` at which
    operation, ``copies`` of which value it is a copy. ``cleared`` tells of a tensor when, as a number of operations,
    and at which site ``.grad`` was last set to ``None``; ``passes_read`` are the backward passes of which the program
    has read a gradient, ``passes_cleared`` tells of a backward pass of which no step used anything at which leaves that
    took away its gradient; ``retained`` of a computed tensor after how many backward calls, and at which site, it was
    first told to keep its gradient.

    ``used_elsewhere`` are parameters of modules that were called in other threads; ``inner_reads`` tells for the
    application of a Function what its forward read without having been given it, ``held_inside`` of a parameter of
    compiled code or of TorchScript which call was the first that may have read it, and ``written_inside`` are the calls
    of such code that wrote to what they were given. ``files`` are the program's own. What was not seen is told by the
    recording's ``completeness``.
    """

    recording: Recording
    call_modules: tuple[int, ...]
    modules: Mapping[int, WatchedModule]
    backwards: tuple[Backward, ...]
    reads: tuple[GradRead, ...]
    flags: tuple[FlagChange, ...]
    hooks: tuple[Hook, ...]
    tensor_hooks: tuple[TensorHook, ...]
    optimizers: tuple[Optimizer, ...]
    replacements: tuple[Replacement, ...]
    failures: tuple[Failure, ...]
    unregistered: Mapping[int, SourceSpan | None]
    gradient_of: Mapping[int, int]
    gradient_ties: frozenset[int] = frozenset()
    captured_calls: frozenset[int] = frozenset()
    failed_calls: frozenset[int] = frozenset()
    function_spans: Mapping[str, SourceSpan] = field(default_factory=nothing)
    zero_parts: tuple[tuple[int, int], ...] = ()
    handed: tuple[HandedGradient, ...] = ()
    emptied: tuple[EmptiedGradient, ...] = ()
    backward_returns: Mapping[str, SourceSpan] = field(default_factory=nothing)
    low_precision: tuple[tuple[int, int], ...] = ()
    returned: Mapping[int, tuple[int, ...]] = field(default_factory=nothing)
    left_partly: frozenset[int] = frozenset()
    made_at: Mapping[int, int] = field(default_factory=nothing)
    copies: Mapping[int, int] = field(default_factory=nothing)
    made_when: Mapping[int, int] = field(default_factory=nothing)
    module_flags: tuple[ModuleFlag, ...] = ()
    cleared: Mapping[int, tuple[int, int]] = field(default_factory=nothing)
    passes_cleared: Mapping[int, frozenset[int]] = field(default_factory=nothing)
    passes_read: frozenset[int] = frozenset()
    retained: Mapping[int, tuple[int, int]] = field(default_factory=nothing)
    plain_tensors: tuple[PlainTensor, ...] = ()
    used_elsewhere: frozenset[int] = frozenset()
    inner_reads: Mapping[int, tuple[int, ...]] = field(default_factory=nothing)
    held_inside: Mapping[int, int] = field(default_factory=nothing)
    written_inside: frozenset[int] = frozenset()
    files: tuple[str, ...] = ()

    def pass_of_call(self, call: int) -> int:
        """The outermost module call that a call belongs to: one forward pass."""
        calls = self.recording.calls
        while call >= 0 and calls[call].parent >= 0:
            call = calls[call].parent
        return call

    def last_switch(self, value: int, *, before: int) -> FlagChange | None:
        """The last switch of a value's ``requires_grad`` as the backward pass numbered ``before`` began.

        The number of the pass tells, not that of an operation: between two passes none need have run.
        """
        switches = self._switches.get(value, ())
        count = bisect.bisect_right(switches, before, key=lambda flag: flag.backwards)
        return switches[count - 1] if count else None

    def required_grad(self, value: int, *, before: int) -> bool:
        """Whether a value required grad as the backward pass numbered ``before`` began."""
        switch = self.last_switch(value, before=before)
        return self.recording.values.requires_grad[value] if switch is None else switch.on

    @functools.cached_property
    def _switches(self) -> dict[int, list[FlagChange]]:
        found: dict[int, list[FlagChange]] = {}
        for flag in self.flags:
            if not flag.error:
                found.setdefault(flag.value, []).append(flag)
        return found

    def places(self) -> Iterator[SourceSpan]:
        """The places that are named besides the sites of the recording."""
        spans = (
            *(place for failure in self.failures for place in (failure.span, *failure.callers)),
            *(backward.raised_in for backward in self.backwards),
            *(flow.backward_span for backward in self.backwards for flow in backward.flows),
            *(hook.defined for hook in self.hooks),
            *(gradient.defined for gradient in self.emptied),
            *(optimizer.step_defined for optimizer in self.optimizers),
            *(module.own_backward.span for module in self.modules.values() if module.own_backward is not None),
            *(tensor.span for tensor in self.plain_tensors),
            *self.unregistered.values(),
            *self.function_spans.values(),
            *self.backward_returns.values(),
        )
        return (span for span in spans if span is not None)
