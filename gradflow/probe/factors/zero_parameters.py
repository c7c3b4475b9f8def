"""Which parameters of zeros an operation multiplies with where a gradient ends; and whether they are what ends it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from gradflow.graph.additive import is_only_added, is_only_added_at
from gradflow.load.module_tree import named_parameters_in
from gradflow.probe.factors.awakening import awakened
from gradflow.probe.laboratory import Laboratory
from gradflow.recording import Recording
from gradflow.recording.gradients import NodeFlow
from gradflow.torch_facts.operations.families import is_identity

__all__ = ["named_factors", "zero_starts"]

_FIRST = 1_024


def named_factors(
    laboratory: Laboratory, recording: Recording, flows: Sequence[NodeFlow], target: str
) -> tuple[NodeFlow, ...]:
    """The flows, each end of which knows the parameter of zeros that its operation multiplies with, if one does."""
    if not any(flow.is_end for flow in flows):
        return tuple(flows)
    zeros = _all_zero(laboratory, target)
    return tuple(
        replace(flow, zero_parameter=_read_at(recording, flow.operation, zeros)) if flow.is_end else flow
        for flow in flows
    )


def zero_starts(
    laboratory: Laboratory, recording: Recording, flows: Iterable[NodeFlow], target: str, index: Any = None
) -> tuple[str, ...]:
    """The parameters of zeros without which a gradient arrives: those at the ends first, and all if that is not enough.

    Empty where no end multiplies with one, and where the gradient stays zero when they have been moved.
    """
    at_ends = dict.fromkeys(flow.zero_parameter for flow in flows if flow.is_end and flow.zero_parameter)
    if not at_ends:
        return ()
    everything = {
        name: tensor
        for name, tensor in _all_zero(laboratory, target).items()
        if name in at_ends or any(not is_only_added(recording, value) for value in _values_of(recording, name))
    }
    asked = {target: laboratory.parameters[target]} if target in laboratory.parameters else {}
    layers = (target,) if not asked else ()
    for names in dict.fromkeys((tuple(at_ends), (*at_ends, *(name for name in everything if name not in at_ends)))):
        moved = {name: everything[name] for name in names}
        if awakened(laboratory, moved, asked, layers=layers, index=index):
            return names
    return ()


def _all_zero(laboratory: Laboratory, target: str) -> Mapping[str, torch.Tensor]:
    """The parameters whose entries are all zero, but for the target: that would be told of itself."""
    return {
        name: parameter
        for name, parameter in named_parameters_in(laboratory.workload.model)
        if name != target and parameter.numel() and not parameter.is_meta and _is_zero(parameter.detach())
    }


def _is_zero(tensor: torch.Tensor) -> bool:
    """Whether all entries are zero; most have another one among the first, and are not read any further."""
    is_plain = tensor.layout == torch.strided and not tensor.is_nested and tensor.is_contiguous()
    return not (is_plain and bool(tensor.view(-1)[:_FIRST].any())) and not bool(tensor.any())


def _values_of(recording: Recording, name: str) -> tuple[int, ...]:
    return tuple(
        value for value, (role, whose) in recording.leaf_names.items() if role == "parameter" and whose == name
    )


def _read_at(recording: Recording, operation: int, zeros: Mapping[str, torch.Tensor]) -> str:
    """The parameter of zeros that an operation reads, itself or a view or cast of it, and does not only add."""
    if operation < 0 or not zeros:
        return ""
    for offset, value in enumerate(recording.inputs_of(operation)):
        name = _parameter_behind(recording, value)
        if name in zeros and not is_only_added_at(recording, operation, offset):
            return name
    return ""


def _parameter_behind(recording: Recording, value: int) -> str:
    while True:
        role, name = recording.leaf_names.get(value, ("", ""))
        if role == "parameter":
            return name
        producer = recording.values.producer[value]
        inputs = recording.inputs_of(producer) if producer >= 0 else ()
        if not inputs or not is_identity(recording.name_of(producer)):
            return ""
        value = inputs[0]
