"""GF204: the gradient of a layer's weights and an activation leave torch, and NumPy makes the map of both."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from gradflow.graph.dependence import analyse
from gradflow.location import SourceSpan
from gradflow.recording.program.events import GradRead
from gradflow.source.program.walk import product_in_program
from gradflow.torch_facts.operations.queries import has
from gradflow.watch.finding import Finding
from gradflow.watch.observation import Observation
from gradflow.watch.rules.mixing import gradients_onwards, weight_gradient_taken

__all__ = ["weight_gradient_in_arrays"]


def weight_gradient_in_arrays(observation: Observation) -> tuple[Finding, ...]:
    """What NumPy computes is not recorded: that both have left torch is, and their product is read in the source."""
    found: dict[SourceSpan | None, Finding] = {}
    origin = gradients_onwards(observation)
    for read, name, outputs in _reads_that_left(observation, origin):
        here = observation.recording.site_span(read.site)
        for operation in _activations_that_left(observation, origin, outputs):
            there = observation.recording.span_of(operation)
            if here is None or there is None:
                continue
            product = product_in_program(observation.program.files, here, there)
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
    recording = observation.recording
    depends = analyse(recording, outputs).depends
    taken = {operation: recording.inputs_of(operation)[0] for operation in _exits(observation)}
    shared = {
        recording.operations.site[operation]
        for operation, value in taken.items()
        if not depends[value] and value not in origin
    }
    for operation, value in taken.items():
        is_map = depends[value] and len(recording.values.shape[value]) >= 2
        if is_map and recording.operations.site[operation] not in shared:
            yield operation


def _reads_that_left(
    observation: Observation, origin: Mapping[int, int]
) -> Iterator[tuple[GradRead, str, tuple[int, ...]]]:
    """Reads of a layer's weight gradient that were turned into an array: read, parameter, the layer's outputs."""
    recording = observation.recording
    gone = {
        origin[value]
        for operation in _exits(observation)
        for value in recording.inputs_of(operation)[:1]
        if value in origin
    }
    for read in observation.program.reads:
        role, name = recording.leaf_names.get(read.value, ("", ""))
        if role != "parameter" or read.value not in gone or len(recording.values.shape[read.value]) < 3:
            continue
        key = next((m.key for m in observation.program.modules.values() if read.value in m.parameters), -1)
        outputs = tuple(
            v for call in recording.calls if observation.program.call_modules[call.id] == key for v in call.outputs
        )
        if key >= 0 and outputs:
            yield read, name, outputs


def _exits(observation: Observation) -> Iterator[int]:
    recording = observation.recording
    for operation in range(len(recording)):
        if has(recording.name_of(operation), "array") and recording.inputs_of(operation):
            yield operation
