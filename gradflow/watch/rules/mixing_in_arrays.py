"""GF204: the gradient of a layer's weights and an activation leave torch, and NumPy makes the map of both."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from gradflow.graph.dependence import analyse
from gradflow.location import SourceSpan
from gradflow.trace.operation_kinds import TO_ARRAYS
from gradflow.watch.events import GradRead, Observation
from gradflow.watch.finding import Finding
from gradflow.watch.rules.mixing import gradients_onwards, weight_gradient_taken
from gradflow.watch.source.program.walk import product_in_program

__all__ = ["weight_gradient_in_arrays"]


def weight_gradient_in_arrays(observation: Observation) -> tuple[Finding, ...]:
    """What NumPy computes is not recorded: that both have left torch is, and their product is read in the source."""
    found: dict[SourceSpan | None, Finding] = {}
    origin = gradients_onwards(observation)
    for read, name, outputs in _reads_that_left(observation, origin):
        here = observation.trace.site_span(read.site)
        for operation in _activations_that_left(observation, origin, outputs):
            there = observation.trace.span_of(operation)
            if here is None or there is None:
                continue
            product = product_in_program(observation.files, here, there)
            if product is not None:
                one = weight_gradient_taken(
                    observation,
                    read,
                    name,
                    product,
                    operation,
                    "the product is computed outside torch: it was read in the source, not recorded",
                )
                found.setdefault(here, one)
    return tuple(found.values())


def _activations_that_left(
    observation: Observation, origin: Mapping[int, int], outputs: tuple[int, ...]
) -> Iterator[int]:
    """Where maps made of a layer's output became arrays; not in a helper through which other values went as well.

    Which of the results of such a helper is meant, the source does not tell.
    """
    trace = observation.trace
    depends = analyse(trace, outputs).depends
    taken = {operation: trace.inputs_of(operation)[0] for operation in _exits(observation)}
    shared = {
        trace.operations.site[operation]
        for operation, value in taken.items()
        if not depends[value] and value not in origin
    }
    for operation, value in taken.items():
        is_map = depends[value] and len(trace.values.shape[value]) >= 2
        if is_map and trace.operations.site[operation] not in shared:
            yield operation


def _reads_that_left(
    observation: Observation, origin: Mapping[int, int]
) -> Iterator[tuple[GradRead, str, tuple[int, ...]]]:
    """Reads of a layer's weight gradient that were turned into an array: read, parameter, the layer's outputs."""
    trace = observation.trace
    gone = {
        origin[value]
        for operation in _exits(observation)
        for value in trace.inputs_of(operation)[:1]
        if value in origin
    }
    for read in observation.reads:
        role, name = trace.leaf_names.get(read.value, ("", ""))
        if role != "parameter" or read.value not in gone or len(trace.values.shape[read.value]) < 3:
            continue
        key = next((m.key for m in observation.modules.values() if read.value in m.parameters), -1)
        outputs = tuple(v for call in trace.calls if observation.call_modules[call.id] == key for v in call.outputs)
        if key >= 0 and outputs:
            yield read, name, outputs


def _exits(observation: Observation) -> Iterator[int]:
    trace = observation.trace
    for operation in range(len(trace)):
        if trace.name_of(operation) in TO_ARRAYS and trace.inputs_of(operation):
            yield operation
