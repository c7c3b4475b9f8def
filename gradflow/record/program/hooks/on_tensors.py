"""Watches the hooks that the program registers on tensors: whose gradient they are given, and what runs inside."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable
from types import FrameType
from typing import Any

import torch
from torch.utils.hooks import RemovableHandle

from gradflow.record.conduct.aside import Operation, leave_out_this_frame
from gradflow.record.operations.tensor_facts import is_leaf, requires_grad
from gradflow.record.program.callers import caller_of, is_within_torch
from gradflow.record.program.hooks.emptied import note_emptied
from gradflow.record.program.hooks.tables import TensorTable
from gradflow.record.program.log import Log
from gradflow.record.program.noted.hooks import NotedTensorHook
from gradflow.record.recorder import Recorder
from gradflow.recording.program.events import TensorHook
from gradflow.source.callables import definition_of
from gradflow.torch_facts.function_modes import unseen

__all__ = ["TensorHooks"]


class TensorHooks:
    """Notes each hook; what autograd calls is observed, what the program finds on its tensor is its own hook."""

    def __init__(self, recorder: Recorder, log: Log) -> None:
        self._recorder = recorder
        self._log = log
        self._next: Callable[[Any], Any] | None = None
        self._removed = recorder.aside.looking(self._note_removed)
        self._tables: weakref.WeakValueDictionary[int, TensorTable] = weakref.WeakValueDictionary()
        self._leaves: weakref.WeakValueDictionary[int, torch.Tensor] = weakref.WeakValueDictionary()
        self._noted: dict[int, NotedTensorHook] = {}
        self._handles: weakref.WeakValueDictionary[int, RemovableHandle] = weakref.WeakValueDictionary()

    def forget(self, tensor: torch.Tensor) -> None:
        """Refer to a tensor no more, not even weakly."""
        self._leaves.pop(id(tensor), None)

    def put_tables_back(self) -> None:
        """Give leaves tables of torch's own kind again; that of a computed tensor belongs to its node, and stays."""
        handles = list(self._handles.values())
        for tensor in list(self._leaves.values()):
            with unseen():
                table = tensor._backward_hooks
                if type(table) is not TensorTable or not is_leaf(tensor):
                    continue
                tensor._backward_hooks = plain = table.plain()
            for handle in handles:
                if handle.hooks_dict_ref() is table:
                    handle.hooks_dict_ref = weakref.ref(plain)
        for table in list(self._tables.values()):
            table.release()

    def _module_of(self, value: int) -> int:
        """The module in whose call a value was made; -1 for none."""
        producer = self._recorder.values.producer[value]
        call = self._recorder.operations.call[producer] if producer >= 0 else -1
        return self._log.call_modules[call] if call >= 0 else -1

    def register(self, operation: Operation, frame: FrameType, /, *args: Any, **kwargs: Any) -> Any:
        """``tensor.register_hook(hook)``: the gradient that a hook is given belongs to the tensor that it sits on."""
        tensor = args[0]
        recorder = self._recorder
        value = recorder.value_of(tensor)
        caller = caller_of(frame)
        hook = TensorHook(
            value=value,
            site=recorder.sites.number(caller),
            operation=len(recorder.operations.name),
            backwards=len(self._log.backwards),
            call=recorder.call,
        )
        noted = NotedTensorHook(hook)
        is_observed = self._prepare(tensor)
        is_of_leaf, module = is_leaf(tensor), self._module_of(value)
        self._next = lambda hook: self._observed(hook, noted, is_of_leaf, module)
        try:
            handle = operation(*args, **kwargs)
        finally:
            self._next = None
        if is_observed:
            self._handles[id(handle)] = handle
            self._noted[handle.id] = noted
        # of a hook that is not observed nobody knows whether it runs
        if is_observed and not is_within_torch(caller):
            self._log.tensor_hooks.append(noted)
        return handle

    def _prepare(self, tensor: torch.Tensor) -> bool:
        """Give a tensor without hooks a table in which they are observed; whether it has one."""
        with unseen():
            table = tensor._backward_hooks
            if table is None and requires_grad(tensor):
                table = TensorTable(self._observe, self._removed)
                self._tables[id(table)] = table
                tensor._backward_hooks = table
                if is_leaf(tensor):
                    self._leaves[id(tensor)] = tensor
                if tensor.grad_fn is not None:
                    tensor.grad_fn._register_hook_dict(tensor)
        return type(table) is TensorTable

    def _observe(self, hook: Any) -> Any:
        try:
            return hook if self._next is None else self._next(hook)
        except Exception as error:  # noqa: BLE001  (ours, in the middle of torch's own registration)
            self._recorder.aside.note(error)
            return hook

    def _note_removed(self, number: int) -> None:
        noted = self._noted.pop(number, None)
        if noted is not None and not self._recorder.is_off():
            noted.removed_site = self._recorder.sites.number(sys._getframe(1))
            noted.removed_backwards = len(self._log.backwards)

    def _observed(self, hook: Any, noted: NotedTensorHook, is_of_leaf: bool, module: int) -> Callable[[Any], Any]:
        recorder, log, aside = self._recorder, self._log, self._recorder.aside
        value, site = noted.registered.value, noted.registered.site

        def note(operation: Operation, gradient: Any) -> Any:
            noted.runs += 1
            if recorder.suspended or not isinstance(gradient, torch.Tensor):
                return operation(gradient)
            with recorder.listening():
                log.note_gradient(recorder.value_of(gradient), value)
                if not is_of_leaf:
                    log.note_handed(gradient, of=value, site=site, module=module)
                result = operation(gradient)
            defined = definition_of(hook)
            note_emptied(log, gradient, result, value=value, site=site, defined=defined)
            return result

        def call(gradient: Any) -> Any:
            try:
                return aside.once(note, hook, (gradient,), {})
            except BaseException as error:
                leave_out_this_frame(error)
                raise

        # torch names the hook by it where it refuses what a hook returned
        call.__name__ = getattr(hook, "__name__", "<unknown>")
        return call
