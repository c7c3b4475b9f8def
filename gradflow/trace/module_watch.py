"""Follows module calls through torch's global module hooks, and takes the target layers' activations."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook

from gradflow.trace.capture import Activation, all_tensors, replace_tensor, shape_of
from gradflow.trace.data import CallRow
from gradflow.trace.recorder import Recorder

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
        ``alter(layer, call_index, activation)`` may replace an activation, to see what depends on it.
    """

    def __init__(
        self,
        recorder: Recorder,
        names: Mapping[int, str],
        targets: Mapping[int, str],
        *,
        keep: bool = False,
        alter: Alteration | None = None,
    ) -> None:
        self.activations: dict[str, list[Activation]] = {name: [] for name in targets.values()}
        self._recorder = recorder
        self._names = names
        self._targets = targets
        self._keep = keep
        self._alter = alter
        self._stack: list[tuple[int, int]] = []

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Register the hooks; they are gone afterwards whatever happens."""
        handles = (
            register_module_forward_pre_hook(self._enter),
            register_module_forward_hook(self._leave, always_call=True),
        )
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _enter(self, module: torch.nn.Module, inputs: Any) -> None:
        recorder = self._recorder
        if recorder.suspended:
            return
        call = len(recorder.calls)
        type_name = type(module).__name__
        name = self._names.get(id(module))
        if name is None:
            name = f"({type_name})"
        site = recorder.sites.number(sys._getframe(1))
        recorder.calls.append(CallRow(call, name, type_name, recorder.call, site, len(recorder.operations.name)))
        self._stack.append((id(module), call))
        recorder.call = call

    def _leave(self, module: torch.nn.Module, inputs: Any, output: Any) -> Any:
        recorder = self._recorder
        if recorder.suspended:
            return None
        # a module that raised and was caught leaves its entry behind: unwind to the call that ends here
        while self._stack and self._stack[-1][0] != id(module):
            self._stack.pop()
        if not self._stack:
            return None
        _, number = self._stack.pop()
        call = recorder.calls[number]
        recorder.call = call.parent
        call.end_operation = len(recorder.operations.name)
        target = self._targets.get(id(module))
        if target is not None:
            output = self._take(target, output)
        call.outputs = recorder.known_values(output)
        return output if target is not None else None

    def _take(self, layer: str, output: Any) -> Any:
        taken = self.activations[layer]
        recorder = self._recorder
        recorder.suspended += 1
        try:
            fresh, done = replace_tensor(output, lambda tensor: self._clone(layer, len(taken), tensor))
        finally:
            recorder.suspended -= 1
        tensors = all_tensors(fresh)
        if not tensors:
            return output
        activation, *others = tensors
        original = all_tensors(output)[0]
        value = recorder.value_of(original)
        if done:
            value = recorder.adopt(activation, value)
        taken.append(
            Activation(
                value=value,
                shape=shape_of(activation),
                dtype=str(activation.dtype).removeprefix("torch."),
                requires_grad=activation.requires_grad,
                edge=_edge(activation),
                tensor=activation.detach().clone() if self._keep else None,
                others=tuple(edge for edge in map(_edge, others[:7]) if edge is not None),
            )
        )
        return fresh

    def _clone(self, layer: str, call: int, tensor: torch.Tensor) -> torch.Tensor:
        clone = tensor.clone()
        return clone if self._alter is None else self._alter(layer, call, clone)


def _edge(tensor: torch.Tensor) -> torch.autograd.graph.GradientEdge | None:
    return torch.autograd.graph.get_gradient_edge(tensor) if tensor.requires_grad else None
