"""Follows module calls through torch's global module hooks, and takes the target layers' activations."""

from __future__ import annotations

import contextlib
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from threading import RLock, get_ident
from types import FrameType
from typing import Any

import torch
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook

from gradflow.record.capture import Activation, activation_of, chosen_position
from gradflow.record.conduct.whose_error import stepping_aside
from gradflow.record.elsewhere.places import IN_THREAD, IN_TRANSFORM
from gradflow.record.moving import CannotMoveError, write
from gradflow.record.recorder import Recorder
from gradflow.recording import CallRow, UnseenCall
from gradflow.torch_facts.dispatch_modes import outside_dispatch
from gradflow.torch_facts.module_machinery import CALLING
from gradflow.torch_facts.transforms import is_in_transform
from gradflow.values import tensors_in

__all__ = ["ModuleWatch"]

Alteration = Callable[[str, int, torch.Tensor], torch.Tensor]


class ModuleWatch:
    """Global hooks for the time of a run.

    Parameters
    ----------
    recorder
        Gets the module calls.
    names
        ``id(module)`` to qualified name.
    targets
        ``id(module)`` to the qualified name under which the layer was asked for.
    keep
        Whether the activations themselves are kept (a Grad-CAM needs them).
    alter
        An experiment: ``alter(layer, call_index, activation)`` gives other values for an activation, which are written
        into its memory, so that everybody who holds it sees them; it raises ``CannotMoveError`` where there are none.
        No other run changes anything.
    outputs
        Target to the position, among the tensors that it returns, of the one that is meant; the first by default.
    """

    def __init__(
        self,
        recorder: Recorder,
        names: Mapping[int, str],
        targets: Mapping[int, str],
        *,
        keep: bool = False,
        alter: Alteration | None = None,
        outputs: Mapping[str, int] | None = None,
    ) -> None:
        self.activations: dict[str, list[Activation]] = {name: [] for name in targets.values()}
        self.unseen: dict[str, list[UnseenCall]] = {name: [] for name in targets.values()}
        self.entered_inside: set[str] = set()
        self.unmoved = ""
        self._recorder = recorder
        self._names = names
        self._targets = targets
        self._keep = keep
        self._alter = alter
        self._outputs = outputs or {}
        self._root = next((module for module, name in names.items() if not name), 0)
        self._stacks: dict[int, list[tuple[int, int, BaseException | None]]] = defaultdict(list)
        self._elsewhere: dict[int, int] = {}
        self._busy: frozenset[int] = frozenset()
        self._lock = RLock()

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Register the hooks; they are gone afterwards whatever happens."""
        self._busy = _threads_inside_a_module()
        handles = (
            register_module_forward_pre_hook(stepping_aside(self._enter, self._recorder.step_aside)),
            register_module_forward_hook(stepping_aside(self._leave, self._recorder.step_aside), always_call=True),
        )
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def forget_calls(self) -> None:
        """Let go of the calls that a failure has left open."""
        self._stacks.clear()

    def _is_of_another_run(self, module: torch.nn.Module, change: int) -> bool:
        """Whether another thread is in a run of its own: of the whole model, or of a module that is none of it.

        Threads that the model starts, or hands work to, run parts of it. ``change`` is 1 where a call begins and -1
        where it ends.
        """
        thread = get_ident()
        if thread == self._recorder.thread:
            return False
        depth = self._elsewhere.get(thread, 0)
        if not depth and (id(module) != self._root or self._stacks.get(thread)):
            return thread in self._busy or id(module) not in self._names
        self._elsewhere[thread] = depth + change
        return True

    def _enter(self, module: torch.nn.Module, inputs: Any) -> None:
        recorder = self._recorder
        if self._is_of_another_run(module, 1):
            return
        if recorder.suspended:
            self._note_inside(module)
            return
        type_name = type(module).__name__
        name = self._names.get(id(module))
        if name is None:
            name = f"({type_name})"
        site = recorder.sites.number(sys._getframe(1))
        stack = self._stacks[get_ident()]
        parent = stack[-1][1] if stack else recorder.call
        with self._lock:
            call = len(recorder.calls)
            recorder.calls.append(CallRow(call, name, type_name, parent, site, len(recorder.operations.name)))
        stack.append((id(module), call, sys.exception()))
        where = IN_TRANSFORM if is_in_transform() else "" if recorder.is_own_thread() else IN_THREAD
        if where:
            recorder.elsewhere.note_module(name, where)
        if recorder.is_own_thread():
            recorder.call = call

    def _leave(self, module: torch.nn.Module, inputs: Any, output: Any) -> None:
        recorder = self._recorder
        if self._is_of_another_run(module, -1) or recorder.suspended:
            return
        # a module that raised and was caught leaves its entry behind: unwind to the call that ends here
        stack = self._stacks[get_ident()]
        while stack and stack[-1][0] != id(module):
            stack.pop()
        if not stack:
            return
        _, number, handled_before = stack.pop()
        call = recorder.calls[number]
        if recorder.is_own_thread():
            recorder.call = call.parent
        call.end_operation = len(recorder.operations.name)
        target = self._targets.get(id(module))
        raised = sys.exception()
        if raised is not None and raised is not handled_before:
            # torch calls this hook from where it catches what the module raised; there is no output
            call.raised = type(raised).__name__
            if target is not None:
                self.unseen[target].append(UnseenCall(kind="raised", what=type(raised).__name__, site=call.site))
            return
        with self._lock, outside_dispatch():
            if target is not None:
                self._take(target, output, call.site)
            call.outputs = recorder.known_values(output)

    def _note_inside(self, module: torch.nn.Module) -> None:
        recorder, target = self._recorder, self._targets.get(id(module))
        if not recorder.inside or not recorder.is_own_thread():
            return
        if id(module) in self._names:
            self.entered_inside.add(self._names[id(module)])
        if target is not None:
            site = recorder.sites.number(sys._getframe(2))
            self.unseen[target].append(UnseenCall(kind="inside", what=recorder.inside, site=site))

    def _take(self, layer: str, output: Any, site: int) -> None:
        tensors = tensors_in(output)
        if is_in_transform():
            return  # a wrapper of a transform is no value of the run, and has no place in its graph
        if not tensors:
            self.unseen[layer].append(UnseenCall(kind="no tensor", what=type(output).__name__, site=site))
            return
        taken = self.activations[layer]
        recorder = self._recorder
        output = chosen_position(tensors, self._outputs.get(layer, 0))
        if self._alter is not None:
            try:
                with torch.no_grad():
                    fresh = self._alter(layer, len(taken), tensors[output])
            except CannotMoveError as error:
                self.unmoved = str(error)
            else:
                self.unmoved = write(tensors[output], fresh, recorder.before_write) or self.unmoved
        own = recorder.value_of(tensors[output])
        values = [own if n == output else recorder.known_value(tensor) for n, tensor in enumerate(tensors)]
        taken.append(activation_of(tensors, recorder.views, output=output, values=values, keep=self._keep))


def _threads_inside_a_module() -> frozenset[int]:
    """The threads that run a module's forward right now."""
    found = set()
    for thread, innermost in sys._current_frames().items():
        frame: FrameType | None = innermost
        while frame is not None and frame.f_code is not CALLING:
            frame = frame.f_back
        if frame is not None:
            found.add(thread)
    return frozenset(found)
