"""The products of a gradient and an activation that a program forms, and what the two belong to."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from gradflow.graph.dependence import analyse
from gradflow.torch_facts.operations.queries import has
from gradflow.watch.facts.flags import scored
from gradflow.watch.facts.leaves import is_leaf_value
from gradflow.watch.observation import Observation

__all__ = ["Chain", "GradientProducts", "Product"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """An operation that multiplies a gradient with an activation; calls by number, -1 for none.

    ``is_pooled`` tells that one number per channel is left of the gradient, as for the weights of Grad-CAM.
    """

    operation: int
    gradient: int
    gradient_call: int
    activation_call: int
    is_pooled: bool
    positions: tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """The values that a tensor goes back to one by one, and the module calls that returned one of them."""

    values: frozenset[int]
    calls: tuple[int, ...]


class GradientProducts:
    """All of them, formed outside the hooks.

    ``roots`` has every value that was computed from one gradient alone, with that gradient.
    """

    def __init__(self, observation: Observation) -> None:
        self._observation = observation
        self._trace = observation.recording
        self._made = {value: call.id for call in reversed(observation.recording.calls) for value in call.outputs}
        self._inside = [
            range(run.first_operation, run.end_operation)
            for hook in observation.program.hooks
            for run in hook.runs
            if run.first_operation < run.end_operation
        ]
        self.roots = self._follow()

    def _follow(self) -> dict[int, int]:
        recording = self._trace
        roots = {value: value for value in self._observation.program.gradient_of}
        for operation in range(len(recording)):
            inputs = recording.inputs_of(operation)
            sources = {roots.get(value, -1) for value in inputs}
            if len(sources) == 1 and -1 not in sources and recording.name_of(operation) != "autograd.grad":
                for value in recording.outputs_of(operation):
                    roots.setdefault(value, next(iter(sources)))
        return roots

    def call_of(self, gradient: int) -> int:
        """The module call at whose output a gradient was taken; -1 for none."""
        return self._made.get(self._observation.program.gradient_of[gradient], -1)

    def is_input(self, gradient: int) -> bool:
        """Whether a gradient is that of what the program feeds in: a leaf that is no parameter."""
        of = self._observation.program.gradient_of[gradient]
        return is_leaf_value(self._trace, of) and self._trace.leaf_names.get(of, ("",))[0] != "parameter"

    def is_on_the_way(self, product: Product) -> bool:
        """Whether the activation lies between the input whose gradient it is multiplied with and the score."""
        recording, observation = self._trace, self._observation
        backward = next((b for b in reversed(observation.program.backwards) if b.operation <= product.operation), None)
        if backward is None or not backward.roots:
            return False
        source = (observation.program.gradient_of[product.gradient],)
        found = analyse(scored(observation, backward.score, source), source)
        return any(found.depends[v] and found.reaches[v] for v in recording.calls[product.activation_call].outputs)

    def _is_pooled(self, value: int) -> bool:
        shape = self._trace.values.shape
        whole = shape[self.roots[value]]
        return len(whole) > 2 and math.prod(shape[value]) in (whole[1], whole[0] * whole[1]) and shape[value] != whole

    def products(self) -> Iterator[tuple[Product, Chain]]:
        """Each of them, with where its activation comes from."""
        recording = self._trace
        for operation in range(len(recording)):
            if not has(recording.name_of(operation), "product", "matrix-product"):
                continue
            inputs = recording.inputs_of(operation)
            gradients = [position for position, value in enumerate(inputs) if value in self.roots]
            if not gradients or any(operation in one for one in self._inside):
                continue
            for position, other in enumerate(inputs):
                chain = self._chain(other) if position not in gradients else None
                if chain is None or not chain.calls:
                    continue
                for taken in gradients:
                    product = Product(
                        operation=operation,
                        gradient=self.roots[inputs[taken]],
                        gradient_call=self.call_of(self.roots[inputs[taken]]),
                        activation_call=chain.calls[0],
                        is_pooled=self._is_pooled(inputs[taken]),
                        positions=(taken, position),
                    )
                    yield product, chain

    def _chain(self, value: int) -> Chain:
        recording = self._trace
        values, calls = [], []
        while True:
            values.append(value)
            if value in self._made:
                calls.append(self._made[value])
            producer = recording.values.producer[value]
            inputs = recording.inputs_of(producer) if producer >= 0 else ()
            if len(inputs) != 1:
                return Chain(values=frozenset(values), calls=tuple(calls))
            value = inputs[0]
