"""Follows the calls of modules through torch's global hooks; in a backward, `run_again.py` does."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from threading import RLock, get_ident
from types import FrameType
from typing import Any, Protocol

import torch
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.utils.hooks import RemovableHandle

from gradflow.location import SiteTable
from gradflow.record.modules.observer import CallObserver, RunningCall
from gradflow.recording import CallColumns, OperationColumns
from gradflow.torch_facts.module_machinery import without_global_hook
from gradflow.torch_facts.running_calls import has_raised, is_running, module_call
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
        """Not 0 while operations of ``thread`` are not recorded."""

    @property
    def is_over(self) -> bool:
        """Whether nothing is recorded any more, of any thread."""

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


class _Running(threading.local):
    """The calls that run in this thread; no later thread of the same number inherits them."""

    def __init__(self) -> None:
        self.calls: list[RunningCall] = []


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
        self._running = _Running()
        self._lock = RLock()
        self._handles: tuple[RemovableHandle, ...] = ()

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Register the hooks; they are gone afterwards whatever happens."""
        self._scope.open()
        self._handles = (
            register_module_forward_pre_hook(self._guard(self._begin)),
            register_module_forward_hook(self._guard(self._finish), always_call=True),
        )
        try:
            yield
        finally:
            handles, self._handles = self._handles, ()
            for handle in handles:
                handle.remove()

    @contextlib.contextmanager
    def hooks_off(self) -> Iterator[None]:
        """Without the hooks, in all threads: what is compiled meanwhile is to be the program's own alone."""
        with contextlib.ExitStack() as stack:
            for handle in self._handles:
                stack.enter_context(without_global_hook(handle, lambda: bool(self._handles)))
            yield

    def look_again(self, frame: FrameType) -> None:
        """Torch says nothing of a forward that Ctrl-C or an exit has ended: let go of those that run no more."""
        self._let_go(self._running.calls, frame)

    def _begin(self, module: torch.nn.Module, inputs: Any) -> None:
        """As torch calls it."""
        self.enter(module, inputs, module_call(sys._getframe(1)))

    def enter(self, module: torch.nn.Module, inputs: Any, frame: FrameType | None = None) -> None:
        """A module's forward begins; ``frame`` is torch's that runs it, where it may not tell that it ends."""
        rows, stack = self._rows, self._running.calls
        is_own = get_ident() == rows.thread
        running, above = (-1, sys._getframe(1)) if frame is None else (id(frame), frame)
        if stack:
            self._let_go(stack, above, running)
        is_asked = not (is_own and self._has_own_thread)
        if is_asked and not self._scope.begins(module, is_inside=bool(stack), is_own_thread=is_own):
            return
        outer = stack[-1].number if stack else rows.call
        # what the thread of the operations is in the middle of says nothing of the others
        is_recorded = not (rows.suspended if is_own else rows.is_over)
        site = rows.sites.number(above) if is_recorded else -1
        type_name = type(module).__name__
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

    def _finish(self, module: torch.nn.Module, inputs: Any, output: Any) -> None:
        """As torch calls it: also of a call that raised, while it handles that."""
        self.leave(module, inputs, output, sys.exception() if has_raised(sys._getframe(1)) else None)

    def leave(self, module: torch.nn.Module, inputs: Any, output: Any, raised: BaseException | None = None) -> None:
        """A module's forward has ended: it returned ``output``, or ``raised`` this."""
        rows, stack = self._rows, self._running.calls
        is_own = get_ident() == rows.thread
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
        if raised is not None and call.is_recorded:
            rows.calls.raised[call.id] = type(raised).__name__
        if not is_own:
            self._note_outputs(call, output, raised)  # before anybody numbers them, which the other thread does
        if self._left:
            with self._lock:
                for left in self._left:
                    left(call, module, output, raised)
        if is_own:
            self._note_outputs(call, output, raised)

    def _note_outputs(self, call: RunningCall, output: Any, raised: BaseException | None) -> None:
        if call.is_recorded and raised is None:
            self._rows.calls.outputs[call.id] = self._rows.known_values(output)

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
