"""GF204: the gradient of a layer's weights and an activation leave torch, and NumPy makes the map of both."""

from __future__ import annotations

from collections.abc import Iterator

from gradflow.graph.dependence import analyse
from gradflow.location import SourceSpan
from gradflow.trace.operation_kinds import TO_ARRAYS
from gradflow.watch.events import GradRead, Observation
from gradflow.watch.finding import Finding
from gradflow.watch.rules.mixing import gradients_onwards, weight_gradient_taken
from gradflow.watch.source.products import product_in_source

__all__ = ["weight_gradient_in_arrays"]


def weight_gradient_in_arrays(observation: Observation) -> tuple[Finding, ...]:
    """What NumPy computes is not recorded: that both have left torch is, and their product is read in the source."""
    found: dict[SourceSpan | None, Finding] = {}
    for read, name, outputs in _reads_that_left(observation):
        here = observation.trace.site_span(read.site)
        depends = analyse(observation.trace, outputs).depends
        for operation in _exits(observation):
            taken = observation.trace.inputs_of(operation)[0]
            there = observation.trace.span_of(operation)
            if not depends[taken] or len(observation.trace.values.shape[taken]) < 2 or here is None or there is None:
                continue
            product = product_in_source(here, there)
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


def _reads_that_left(observation: Observation) -> Iterator[tuple[GradRead, str, tuple[int, ...]]]:
    """Reads of a layer's weight gradient that were turned into an array: read, parameter, the layer's outputs."""
    trace = observation.trace
    origin = gradients_onwards(observation)
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
