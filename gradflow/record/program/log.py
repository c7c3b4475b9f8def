"""The log that all observers of a program write to."""

from __future__ import annotations

import threading
import weakref
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace
from typing import Any

import torch

from gradflow.location import SourceSpan
from gradflow.record.program.measuring import measure
from gradflow.record.program.noted.hooks import NotedHook, NotedTensorHook
from gradflow.record.program.noted.optimizers import NotedOptimizer
from gradflow.record.program.numbers import Numbers
from gradflow.record.program.steps.passes import PassUses
from gradflow.recording.completeness import Event
from gradflow.recording.frozen import frozen
from gradflow.recording.program.events import (
    Backward,
    EmptiedGradient,
    Failure,
    FlagChange,
    GradRead,
    HandedGradient,
    ModuleFlag,
    Replacement,
    WatchedModule,
)
from gradflow.recording.program.recording import ProgramRecording

__all__ = ["Log", "ModuleKeys"]

_HANDED_KEPT = 20

_GOES_ON = {"goes on": True}
"""Marks a field whose objects are the observer's own: of each an event is made when the recording is taken."""


class ModuleKeys:
    """Numbers modules without keeping them alive."""

    def __init__(self) -> None:
        self._keys: dict[int, tuple[weakref.ref[Any], int]] = {}
        self.modules: dict[int, WatchedModule] = {}
        self.references: dict[int, weakref.ref[Any]] = {}
        self.made_at: dict[int, tuple[weakref.ref[Any], int]] = {}
        self.classes: dict[int, type] = {}

    def key_of(self, module: Any) -> int:
        """The number of a module; a new one for a module not seen before."""
        entry = self._keys.get(id(module))
        if entry is not None and entry[0]() is module:
            return entry[1]
        key = len(self.references)
        reference = weakref.ref(module)
        self._keys[id(module)] = (reference, key)
        self.references[key] = reference
        self.classes[key] = type(module)
        made = self.made_at.get(id(module))
        self.modules[key] = WatchedModule(
            key=key,
            type_name=type(module).__name__,
            made_at=made[1] if made is not None and made[0]() is module else -1,
        )
        return key

    def note_made(self, module: Any, site: int) -> None:
        """A module is being constructed."""
        self.made_at[id(module)] = (weakref.ref(module), site)


@dataclass(slots=True)
class Log:
    """Events in the order in which they happened.

    Events are frozen: in the place of one of which more becomes known comes another. What goes on, as an optimizer
    does, is noted in objects of the observer's own, of which the events are made when the recording is taken. What
    stands in a recording under the same name gets there by that alone.
    ``counted`` tells how many reads were only counted, by the number of the one that found the same.
    ``running_backward`` is the number of the backward pass that goes on, as while hooks run; -1 for none.
    """

    keys: ModuleKeys = field(default_factory=ModuleKeys)
    backwards: list[Backward] = field(default_factory=list)
    reads: list[GradRead] = field(default_factory=list)
    counted: Counter[int] = field(default_factory=Counter)
    passes_read: set[int] = field(default_factory=set)
    cleared: dict[int, tuple[int, int]] = field(default_factory=dict)
    pass_uses: PassUses = field(default_factory=PassUses)
    retained: dict[int, tuple[int, int]] = field(default_factory=dict)
    flags: list[FlagChange] = field(default_factory=list)
    module_flags: list[ModuleFlag] = field(default_factory=list)
    hooks: list[NotedHook] = field(default_factory=list, metadata=_GOES_ON)
    tensor_hooks: list[NotedTensorHook] = field(default_factory=list, metadata=_GOES_ON)
    optimizers: list[NotedOptimizer] = field(default_factory=list, metadata=_GOES_ON)
    replacements: list[Replacement] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    call_modules: list[int] = field(default_factory=list)
    calls_of: defaultdict[int, list[int]] = field(default_factory=lambda: defaultdict(list))
    roots: set[int] = field(default_factory=set)
    gradient_of: dict[int, int] = field(default_factory=dict)
    gradient_ties: set[int] = field(default_factory=set)
    unregistered: dict[int, SourceSpan | None] = field(default_factory=dict)
    zero_parts: list[tuple[int, int]] = field(default_factory=list)
    handed: list[HandedGradient] = field(default_factory=list)
    emptied: list[EmptiedGradient] = field(default_factory=list)
    handed_at: Counter[tuple[int, int]] = field(default_factory=Counter)
    handed_alive: set[tuple[int, int]] = field(default_factory=set)
    filled_parts: set[int] = field(default_factory=set)
    low_precision: list[tuple[int, int]] = field(default_factory=list)
    numbers: Numbers = field(default_factory=Numbers)
    made_at: dict[int, int] = field(default_factory=dict)
    copies: dict[int, int] = field(default_factory=dict)
    made_when: dict[int, int] = field(default_factory=dict)
    is_capturing: bool = False
    captured_calls: set[int] = field(default_factory=set)
    failed_calls: set[int] = field(default_factory=set)
    stepped_aside: str = ""
    interrupted: str = ""
    elsewhere: Counter[Event] = field(default_factory=Counter)
    counting: threading.Lock = field(default_factory=threading.Lock)
    is_transformed: bool = False
    called_elsewhere: dict[int, weakref.ref[Any]] = field(default_factory=dict)
    inner_reads: dict[int, tuple[int, ...]] = field(default_factory=dict)
    held_inside: dict[int, int] = field(default_factory=dict)
    written_inside: set[int] = field(default_factory=set)
    optimizers_elsewhere: dict[int, weakref.ref[Any]] = field(default_factory=dict)
    switched_unseen: set[int] = field(default_factory=set)
    running_backward: int = -1
    fork_count: int = 0
    has_other_processes: bool = False
    shared_leaves: set[int] = field(default_factory=set)

    def so_far(self) -> dict[str, Any]:
        """The fields of a recording that are kept here, under the same names, as they are now."""
        found = {name: frozen(getattr(self, name)) for name in _KEPT_HERE}
        for name in _GOING_ON:
            found[name] = tuple(noted.so_far() for noted in found[name])
        cleared = {number: frozenset(values) for number, values in self.pass_uses.cleared.items()}
        return {
            **found,
            "reads": tuple(self.all_reads()),
            "zero_parts": tuple(part for part in self.zero_parts if part[1] not in self.filled_parts),
            "passes_cleared": frozen(cleared),
        }

    def note_flag(self, value: int, *, known: bool, met: bool) -> None:
        """A leaf is met again: its ``requires_grad`` was switched unseen where it is not what it was known to be."""
        if known != met:
            self.switched_unseen.add(value)

    def all_reads(self) -> Iterator[GradRead]:
        """The reads, each with how often it happened."""
        for number, read in enumerate(self.reads):
            more = self.counted.get(number, 0)
            yield replace(read, times=read.times + more) if more else read

    def note_elsewhere(self, event: Event) -> None:
        """Something has happened in a thread that is not watched."""
        with self.counting:
            self.elsewhere[event] += 1

    def note_gradient(self, gradient: int, of: int) -> None:
        """A gradient belongs to a value; one that autograd hands on unchanged may belong to several."""
        known = self.gradient_of.setdefault(gradient, of)
        if known != of:
            self.gradient_ties.add(gradient)
            self.gradient_of[gradient] = of

    def note_handed(self, gradient: torch.Tensor, *, of: int, site: int, module: int) -> None:
        """A hook is given the gradient of a value.

        Of each place and thing hooked the first passes are kept, and the first later one at which something of use
        came after all: until then each is looked at, however late it is.
        """
        key = site, module
        if not self.backwards or (self.handed_at[key] >= _HANDED_KEPT and key in self.handed_alive):
            return
        number, measured = len(self.backwards) - 1, measure(gradient)
        handed = HandedGradient(value=of, site=site, module=module, backward=number, measured=measured)
        if handed.is_of_use:
            self.handed_alive.add(key)
        if self.handed_at[key] < _HANDED_KEPT or handed.is_of_use:
            self.handed_at[key] += 1
            self.handed.append(handed)


_KEPT_HERE = frozenset(one.name for one in fields(Log)) & frozenset(one.name for one in fields(ProgramRecording))
_GOING_ON = tuple(one.name for one in fields(Log) if "goes on" in one.metadata)
