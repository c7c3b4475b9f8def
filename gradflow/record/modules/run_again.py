"""Calls of the target layers within the backward of a reentrant checkpoint.

Such a checkpoint runs what is in it without recording, and once more in backward, where it is recorded: the gradient
comes to that second call of a layer, and it is the gradient of what the first one returned.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.nn.modules.module import register_module_forward_hook

from gradflow.record.capture import Activation, chosen_position
from gradflow.torch_facts.frames import runs_again_for
from gradflow.values import tensors_in

__all__ = ["CallsAgain"]


@dataclass(slots=True)
class _Call:
    """One second call: ``key`` is in the order of the first ones, ``arrived`` is what came, by position."""

    key: tuple[int, ...]
    position: int
    arrived: dict[int, torch.Tensor] = field(default_factory=dict)


class CallsAgain:
    """Watches one backward pass.

    Parameters
    ----------
    layers
        The target layers by name.
    activations
        What their first calls returned.
    """

    def __init__(self, layers: Mapping[str, torch.nn.Module], activations: Mapping[str, Sequence[Activation]]) -> None:
        self._activations = activations
        self._names: dict[int, list[str]] = {}
        self._calls: dict[str, list[_Call]] = {name: [] for name in activations}
        for name, module in layers.items():
            # a layer all of whose calls were recorded is in no such checkpoint
            if any(one.edge is None for one in activations.get(name, ())):
                self._names.setdefault(id(module), []).append(name)

    @property
    def is_waiting(self) -> bool:
        """Whether a layer was called without recording."""
        return bool(self._names)

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """For the time of the backward."""
        handle = register_module_forward_hook(self._take) if self._names else None
        try:
            yield
        finally:
            if handle is not None:
                handle.remove()

    def with_theirs(self, name: str, gradients: Sequence[torch.Tensor | None]) -> tuple[torch.Tensor | None, ...]:
        """The gradients of a layer's calls, with what came to the second ones.

        Where some of the first ones without a gradient did not run again, those that did are taken for the last.
        """
        found = list(gradients)
        first = [number for number, one in enumerate(self._activations[name]) if one.edge is None]
        again = sorted(self._calls[name], key=lambda call: call.key)
        for number, call in zip(reversed(first), reversed(again), strict=False):
            found[number] = call.arrived.get(call.position)
        return tuple(found)

    def is_whole(self, name: str) -> bool:
        """Whether all calls of a layer that were not recorded ran again."""
        first = sum(one.edge is None for one in self._activations[name])
        return 0 < first <= len(self._calls[name])

    def others(self) -> Iterator[tuple[str, int]]:
        """At which further tensors of their outputs layers get a gradient."""
        for name, calls in self._calls.items():
            for call in calls:
                yield from ((name, position) for position in call.arrived if position != call.position)

    def _take(self, module: torch.nn.Module, _: Any, output: Any) -> None:
        names = self._names.get(id(module))
        # without recording, it is the first run of a checkpoint within one
        if names is None or not torch.is_grad_enabled():
            return
        key = runs_again_for(sys._getframe(1))
        if not key:
            return  # of a thread of the program's
        tensors = tensors_in(output)
        for name in names if tensors else ():
            call = _Call(key, chosen_position(tensors, self._activations[name][0].position))
            self._calls[name].append(call)
            for position, tensor in enumerate(tensors):
                if tensor.requires_grad:
                    edge = torch.autograd.graph.get_gradient_edge(tensor)
                    edge.node.register_prehook(_keep(call.arrived, position, edge.output_nr))


def _keep(arrived: dict[int, torch.Tensor], position: int, number: int) -> Callable[[Sequence[Any]], None]:
    def hook(gradients: Sequence[Any]) -> None:
        if gradients[number] is not None:
            arrived[position] = gradients[number].clone()

    return hook
