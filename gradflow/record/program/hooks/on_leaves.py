"""Watches the hooks that torch calls as soon as a leaf has got its gradient: what runs inside is recorded."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from types import FrameType
from typing import Any

import torch
from torch.utils.hooks import RemovableHandle

from gradflow.record.conduct.aside import Operation, leave_out_this_frame
from gradflow.record.operations.tensor_facts import is_leaf, requires_grad
from gradflow.record.program.hooks.tables import TensorTable
from gradflow.record.recorder import Recorder
from gradflow.torch_facts.function_modes import unseen

__all__ = ["LeafHooks"]


class LeafHooks:
    """An optimizer may step in such a hook, and gradients be read, limited and taken away."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._leaves: weakref.WeakValueDictionary[int, torch.Tensor] = weakref.WeakValueDictionary()
        self._handles: weakref.WeakValueDictionary[int, RemovableHandle] = weakref.WeakValueDictionary()

    def forget(self, tensor: torch.Tensor) -> None:
        """Refer to a tensor no more, not even weakly."""
        self._leaves.pop(id(tensor), None)

    def register(self, operation: Operation, frame: FrameType, /, *args: Any, **kwargs: Any) -> Any:
        """``tensor.register_post_accumulate_grad_hook(hook)``."""
        is_observed = self._prepare(args[0])
        handle = operation(*args, **kwargs)
        if is_observed:
            self._handles[id(handle)] = handle
        return handle

    def put_tables_back(self) -> None:
        """Give leaves tables of torch's own kind again."""
        handles = list(self._handles.values())
        for tensor in list(self._leaves.values()):
            with unseen():
                table = tensor._post_accumulate_grad_hooks
                if type(table) is not TensorTable:
                    continue
                plain = table.plain()
                tensor._post_accumulate_grad_hooks = plain
            for handle in handles:
                if handle.hooks_dict_ref() is table:
                    handle.hooks_dict_ref = weakref.ref(plain)

    def _prepare(self, tensor: torch.Tensor) -> bool:
        """Give a leaf without such hooks a table in which they are observed; whether it has one."""
        with unseen():
            table = tensor._post_accumulate_grad_hooks
            if table is None and requires_grad(tensor) and is_leaf(tensor):
                table = TensorTable(self._observed, _do_nothing)
                tensor._post_accumulate_grad_hooks = table
                self._leaves[id(tensor)] = tensor
        return type(table) is TensorTable

    def _observed(self, hook: Any) -> Callable[[Any], Any]:
        recorder, aside = self._recorder, self._recorder.aside

        def listen(operation: Operation, tensor: Any) -> Any:
            if recorder.suspended:
                return operation(tensor)
            with recorder.listening():
                return operation(tensor)

        def call(tensor: Any) -> Any:
            try:
                return aside.once(listen, hook, (tensor,), {})
            except BaseException as error:
                leave_out_this_frame(error)
                raise

        # torch names the hook by it where it refuses what a hook returned
        call.__name__ = getattr(hook, "__name__", "<unknown>")
        return call


def _do_nothing(number: int) -> None:
    """Of such a hook it is not noted when it is taken off."""
