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
from gradflow.recording import CallColumns, OperationColumns
from gradflow.torch_facts.running_calls import is_running, module_call
from gradflow.torch_facts.transforms import innermost_transform

__all__ = ["ModuleFollower", "Rows", "Scope"]


class Rows(Protocol):
    """What the follower needs: ``call`` is the innermost call in ``thread``, whose operations are recorded."""

    call: int
    thread: int

    @property
    def calls(self) -> CallColumns:
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

    def known_values(self, output: Any) -> tuple[int, ...]:
        """The values of the tensors in what a module returned."""


class Scope(Protocol):
    """Which calls are followed.

    ``is_inside`` is whether one that is followed runs in this thread, ``is_own_thread`` whether operations are recorded
    in this one.
    """

    @property
    def has_own_thread(self) -> bool:
        """Whether all calls in the thread whose operations are recorded are followed: it is not asked about them."""

    def open(self) -> None:
        """Calls are followed from now on."""

    def begins(self, module: torch.nn.Module, *, is_inside: bool, is_own_thread: bool) -> bool:
        """Whether to follow a call that begins."""

    def ends(self, module: torch.nn.Module, *, is_inside: bool, is_own_thread: bool) -> bool:
        """Whether a call that ends may be one that is followed."""


class ModuleFollower:
    """Global hooks for the time of a run, and which calls run in each thread.

    Parameters
    ----------
    rows
        Get the calls.
    scope
        Which calls are followed.
    observers
        What is noted of them; none of them relies on another.
    guard
        Makes of a callback one that never raises into the program: the wrapper of whoever owns the recording.
    """

    def __init__(
        self,
        rows: Rows,
        scope: Scope,
        observers: Sequence[CallObserver],
        guard: Callable[[Callable[..., None]], Callable[..., Any]],
    ) -> None:
        self._rows = rows
        self._scope = scope
        self._has_own_thread = scope.has_own_thread
        self._guard = guard
        # asked once: this runs for every call of a module
        nothing = CallObserver
        self._entered = [one.entered for one in observers if type(one).entered is not nothing.entered]
        self._entered_unseen = [
            one.entered_unseen for one in observers if type(one).entered_unseen is not nothing.entered_unseen
        ]
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

    def enter(self, module: torch.nn.Module, inputs: Any, frame: FrameType | None = None) -> None:
        """A module's forward begins; ``frame`` is torch's that runs it, where it may not tell that it ends."""
        rows, thread = self._rows, get_ident()
        stack, is_own = self._stacks[thread], thread == rows.thread
        running, above = (-1, sys._getframe(1)) if frame is None else (id(frame), frame)
        if stack:
            self._let_go(stack, above, running)
        is_asked = not (is_own and self._has_own_thread)
        if is_asked and not self._scope.begins(module, is_inside=bool(stack), is_own_thread=is_own):
            return
        outer = stack[-1].number if stack else rows.call
        is_recorded = not rows.suspended
        site = rows.sites.number(above) if is_recorded else -1
        type_name = type(module).__name__
        handled = id(sys.exception())  # who handles it keeps it for as long as the call runs
        calls = rows.calls
        with self._lock:
            number = len(calls) if is_recorded else -1
            call = RunningCall(
                id(module),
                number,
                f"({type_name})",
                type_name,
                outer,
                site,
                is_recorded,
                number if is_recorded else outer,
                running,
                handled,
            )
            for entered in self._entered:
                entered(call, module, inputs)
            if not is_recorded or not is_own or innermost_transform() is not None:
                for entered in self._entered_unseen:
                    entered(call, module, inputs)
            if is_recorded:
                calls.module.append(call.module)
                calls.type_name.append(type_name)
                calls.parent.append(outer)
                calls.site.append(site)
                calls.first_operation.append(len(rows.operations.name))
                calls.end_operation.append(-1)
                calls.outputs.append(())
        stack.append(call)
        if is_recorded and is_own:
            rows.call = number

    def leave(self, module: torch.nn.Module, inputs: Any, output: Any) -> None:
        """A module's forward has ended; called from where an exception is handled, if that is how."""
        rows, thread = self._rows, get_ident()
        stack, is_own = self._stacks[thread], thread == rows.thread
        is_asked = not (is_own and self._has_own_thread)
        if is_asked and not self._scope.ends(module, is_inside=bool(stack), is_own_thread=is_own):
            return
        if not (stack and stack[-1].module_id == id(module)) and not self._unwind(stack, id(module)):
            return
        call = stack[-1]
        for leaving in self._leaving:
            leaving(call, module, inputs, output)
        stack.pop()
        self._end(call)
        raised = sys.exception()
        if id(raised) == call.handled:
            raised = None
        elif call.is_recorded:
            rows.calls.raised[call.id] = type(raised).__name__
        if self._left:
            with self._lock:
                for left in self._left:
                    left(call, module, output, raised)
        if call.is_recorded and raised is None:
            rows.calls.outputs[call.id] = rows.known_values(output)

    def _unwind(self, stack: list[RunningCall], module_id: int) -> bool:
        """Let go of the calls within that of a module, which has come to its end; whether it is there at all."""
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
        if call.is_recorded:
            rows = self._rows
            rows.calls.end_operation[call.id] = len(rows.operations.name)
            if get_ident() == rows.thread:
                rows.call = call.parent
