"""Follows the calls of modules through torch's global hooks: the one place that registers them."""

from __future__ import annotations

import contextlib
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from threading import RLock, get_ident
from types import FrameType
from typing import Any, Protocol

import torch
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook

from gradflow.location import SiteTable
from gradflow.record.modules.observer import CallObserver, RunningCall
from gradflow.recording import CallRow, OperationColumns
from gradflow.torch_facts.running_calls import is_running, module_call

__all__ = ["ModuleFollower", "Rows", "Scope"]


class Rows(Protocol):
    """What the follower needs of a recorder; ``call`` is the innermost call in the recorder's own thread."""

    call: int

    @property
    def calls(self) -> list[CallRow]:
        """All calls so far."""

    @property
    def sites(self) -> SiteTable:
        """Numbers places."""

    @property
    def operations(self) -> OperationColumns:
        """All operations so far."""

    @property
    def suspended(self) -> int:
        """Not 0 while operations are not recorded."""

    def is_own_thread(self) -> bool:
        """Whether this is the thread whose operations are recorded."""

    def known_values(self, output: Any) -> tuple[int, ...]:
        """The values of the tensors in what a module returned."""


class Scope(Protocol):
    """Which calls are followed; ``is_inside`` is whether one that is followed runs in this thread."""

    def open(self) -> None:
        """Calls are followed from now on."""

    def begins(self, module: torch.nn.Module, *, is_inside: bool) -> bool:
        """Whether to follow a call that begins."""

    def ends(self, module: torch.nn.Module, *, is_inside: bool) -> bool:
        """Whether a call that ends may be one that is followed."""


class ModuleFollower:
    """Global hooks for the time of a run, and which calls run in each thread.

    Parameters
    ----------
    recorder
        Gets the calls.
    scope
        Which calls are followed.
    observers
        What is noted of them; none of them relies on another.
    guard
        Makes of a callback one that never raises into the program: the wrapper of whoever owns the recording.
    """

    def __init__(
        self,
        recorder: Rows,
        scope: Scope,
        observers: Sequence[CallObserver],
        guard: Callable[[Callable[..., None]], Callable[..., Any]],
    ) -> None:
        self._recorder = recorder
        self._scope = scope
        self._guard = guard
        # asked once: this runs for every call of a module
        nothing = CallObserver
        self._entered = [one.entered for one in observers if type(one).entered is not nothing.entered]
        self._leaving = [one.leaving for one in observers if type(one).leaving is not nothing.leaving]
        self._left = [one.left for one in observers if type(one).left is not nothing.left]
        self._abandoned = [one.abandoned for one in observers if type(one).abandoned is not nothing.abandoned]
        self._stacks: defaultdict[int, list[RunningCall]] = defaultdict(list)
        self._lock = RLock()

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Register the hooks; they are gone afterwards whatever happens."""
        self._scope.open()
        handles = (
            register_module_forward_pre_hook(self._guard(self._begin)),
            register_module_forward_hook(self._guard(self.leave), always_call=True),
        )
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def look_again(self, frame: FrameType) -> None:
        """Torch says nothing of a forward that Ctrl-C or an exit has ended: let go of those that run no more."""
        self._let_go(self._stacks[get_ident()], frame)

    def _begin(self, module: torch.nn.Module, inputs: Any) -> None:
        """As torch calls it."""
        self.enter(module, inputs, module_call(sys._getframe(1)))

    def enter(self, module: torch.nn.Module, inputs: Any, frame: int = -1) -> None:
        """A module's forward begins; ``frame`` is the number of torch's, where it may not tell that it ends."""
        recorder, stack = self._recorder, self._stacks[get_ident()]
        if stack:
            self._let_go(stack, sys._getframe(1), frame)
        if not self._scope.begins(module, is_inside=bool(stack)):
            return
        outer = stack[-1].number if stack else recorder.call
        is_recorded = not recorder.suspended
        site = recorder.sites.number(sys._getframe(1)) if is_recorded else -1
        type_name = type(module).__name__
        with self._lock:
            number = len(recorder.calls) if is_recorded else -1
            row = CallRow(number, f"({type_name})", type_name, outer, site, len(recorder.operations.name))
            handled = id(sys.exception())  # who handles it keeps it for as long as the call runs
            call = RunningCall(id(module), row, is_recorded, number if is_recorded else outer, frame, handled)
            for entered in self._entered:
                entered(call, module, inputs)
            if is_recorded:
                recorder.calls.append(row)
        stack.append(call)
        if is_recorded and recorder.is_own_thread():
            recorder.call = number

    def leave(self, module: torch.nn.Module, inputs: Any, output: Any) -> None:
        """A module's forward has ended; called from where an exception is handled, if that is how."""
        stack = self._stacks[get_ident()]
        if not self._scope.ends(module, is_inside=bool(stack)) or not self._unwind(stack, id(module)):
            return
        call = stack[-1]
        for leaving in self._leaving:
            leaving(call, module, inputs, output)
        stack.pop()
        self._end(call)
        raised = sys.exception()
        if id(raised) == call.handled:
            raised = None
        else:
            call.row.raised = type(raised).__name__
        with self._lock:
            for left in self._left:
                left(call, module, output, raised)
            if call.is_recorded and raised is None:
                call.row.outputs = self._recorder.known_values(output)

    def _unwind(self, stack: list[RunningCall], module_id: int) -> bool:
        """Let go of the calls within that of a module, which has come to its end; whether it is there at all."""
        if stack and stack[-1].module_id == module_id:
            return True
        if not any(call.module_id == module_id for call in stack):
            return False
        while stack[-1].module_id != module_id:
            self._abandon(stack.pop())
        return True

    def _let_go(self, stack: list[RunningCall], frame: FrameType, new: int = -1) -> None:
        """Of the calls that run no more; ``new`` is the number of one that begins now: who has the same is over."""
        while stack and stack[-1].frame >= 0:
            if stack[-1].frame != new and is_running(stack[-1].frame, frame):
                return
            self._abandon(stack.pop())

    def _abandon(self, call: RunningCall) -> None:
        self._end(call)
        for abandoned in self._abandoned:
            abandoned(call)

    def _end(self, call: RunningCall) -> None:
        recorder = self._recorder
        if call.is_recorded:
            call.row.end_operation = len(recorder.operations.name)
            if recorder.is_own_thread():
                recorder.call = call.row.parent
