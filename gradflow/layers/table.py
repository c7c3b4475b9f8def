"""The layers of a model as a person wants to see them when choosing one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.parameter import UninitializedParameter

from gradflow.errors import NoSpatialAxesError
from gradflow.layers.feature_layout import feature_layout, input_size
from gradflow.layers.roles import class_role
from gradflow.load.module_tree import named_modules_in, parameters_in
from gradflow.load.workload import Workload
from gradflow.record.modules.module_pass import LayerCall, ModulePass

__all__ = ["LayerRow", "list_layers"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerRow:
    """One module of the model.

    Attributes
    ----------
    name, type_name
        Qualified name and class name.
    output_shape
        Shape of the (first) tensor that the last call returned; ``None`` where the module never ran or returned none.
    role
        What it is to somebody who chooses a layer: ``"features"``, ``"skip join"`` (adds branches itself),
        ``"concatenation"``, ``"classifier"`` (runs after the last feature map), ``"normalisation"``, ``"activation"``,
        ``"pooling"``, ``"attention"``, ``"tokens"``, ``"hidden"``, ``"container"``, ``"never called"``,
        ``"raised"`` (each call did) and the like.
    parameter_count
        Number of entries of all parameters in it, those of inner modules included.
    is_trainable
        Whether any of them requires a gradient; ``False`` also where there are none.
    call_count
        How often it ran in one forward pass.
    """

    name: str
    type_name: str
    output_shape: tuple[int, ...] | None
    role: str
    parameter_count: int
    is_trainable: bool
    call_count: int


def list_layers(workload: Workload, seen: ModulePass) -> tuple[LayerRow, ...]:
    """Every module of the model in the order of its definition, except the model itself.

    Parameters
    ----------
    workload
        What ran.
    seen
        What one forward pass of it has shown.
    """
    calls: dict[str, list[LayerCall]] = {}
    for call in seen.calls:
        calls.setdefault(call.name, []).append(call)
    size = input_size(workload.inputs, workload.keyword_inputs)
    last_map = max(
        (call.ended for call in seen.calls if call.name and not call.has_raised and _kind(call, size) in _PLACED),
        default=0,
    )
    return tuple(
        _row(name, module, calls.get(name, []), size, last_map)
        for name, module in named_modules_in(workload.model)
        if name
    )


_PLACED = ("features", "tokens")


def _row(name: str, module: nn.Module, calls: list[LayerCall], size: tuple[int, int] | None, last_map: int) -> LayerRow:
    parameters = list(parameters_in(module))
    returned = [call for call in calls if not call.has_raised]
    return LayerRow(
        name=name,
        type_name=type(module).__name__,
        output_shape=returned[-1].shape if returned else None,
        role=_role(module, calls, size, last_map),
        parameter_count=_entry_count(parameters),
        is_trainable=any(parameter.requires_grad for parameter in parameters),
        call_count=len(calls),
    )


def _role(module: nn.Module, calls: list[LayerCall], size: tuple[int, int] | None, last_map: int) -> str:
    if not calls:
        return "container" if isinstance(module, nn.ModuleList | nn.ModuleDict) else "never called"
    known = class_role(module)
    if known:
        return known
    returned = [call for call in calls if not call.has_raised]
    if not returned:
        return "raised"
    last = returned[-1]
    if last.join:
        return last.join
    if last_map and last.begun > last_map and next(parameters_in(module), None) is not None:
        return "classifier"
    return _kind(last, size)


def _kind(call: LayerCall, size: tuple[int, int] | None) -> str:
    """What the output looks like."""
    if call.shape is None:
        return "container"
    try:
        layout = feature_layout(call.shape, size)
    except NoSpatialAxesError:
        return "hidden"
    if not layout.is_spatial:
        return "pooled"
    return "tokens" if layout.axes == "[N, T, C]" else "features"


def _entry_count(parameters: Iterable[torch.nn.Parameter]) -> int:
    return sum(parameter.numel() for parameter in parameters if not isinstance(parameter, UninitializedParameter))
