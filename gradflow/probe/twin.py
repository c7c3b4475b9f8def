"""A layer that never ran while a copy of it did: the copy is the one to ask."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from gradflow.layers.names import module_named
from gradflow.load.module_tree import named_modules_in, named_parameters_in
from gradflow.location import SourceSpan
from gradflow.probe.layer_view import NotCalled
from gradflow.recording import Recording
from gradflow.torch_facts.operations.queries import has

__all__ = ["explain_copy", "explain_copy_of_the_run"]


def explain_copy(
    model: torch.nn.Module, recording: Recording, target: str, registered_at: Mapping[str, SourceSpan]
) -> NotCalled | None:
    """The module that ran in the place of ``target``: another object of the same class with the same weights.

    Weights that are all one number (those of a fresh normalisation) say nothing; ``None`` where no copy ran.
    """
    layer = module_named(model, target)
    weights = _telling(layer)
    if not weights:
        return None
    others = dict(named_modules_in(model))
    for name in recording.calls_by_module:
        # one that the forward makes for itself is no part of the model, and has no name in it
        if not name or name not in others or name == target or name.startswith(f"{target}."):
            continue
        other = others[name]
        if other is not layer and type(other) is type(layer) and _equal(weights, dict(named_parameters_in(other))):
            owner = f"`{target}`"
            return NotCalled(
                kind="wrong-module-instance",
                location=registered_at.get(name) or registered_at.get(target),
                label=f"a copy of {owner} is put into the model here, and it is the copy that runs",
                note=f"`{name}` ran: another object of the same class, whose weights equal those of {owner}",
                help=f"ask for `{name}`, or put {owner} itself in its place instead of a copy",
                subject=target,
            )
    return None


def explain_copy_of_the_run(model: torch.nn.Module, recording: Recording, target: str) -> NotCalled | None:
    """The layer, or what it is in, was copied while the model ran, and a module outside the model ran in its place.

    Known by the parameters: all of them went into new ones, which such a module read.
    """
    kind = type(module_named(model, target)).__name__
    outside = [call for call in recording.calls if call.module.startswith("(") and call.type_name == kind]
    made = _new_parameters(recording)
    read = {
        value
        for call in recording.calls
        if call.module.startswith("(")
        for row in range(call.first_operation, call.end_operation)
        for value in recording.inputs_of(row)
    }
    parts = target.split(".")
    for depth in range(len(parts), 0, -1):
        copied = ".".join(parts[:depth])
        names = [f"{copied}.{name}" for name, _ in named_parameters_in(module_named(model, copied))]
        rows = [row for name in names for value, row in made.get(name, ()) if value in read]
        if outside and names and rows and all(name in made for name in names):
            return NotCalled(
                kind="wrong-module-instance",
                location=recording.span_of(min(rows)),
                label=f"`{copied}` is copied here while the model runs, and it is the copy that runs",
                note=f"the parameters of `{copied}` went into new ones, which modules outside of the model read, and a "
                f"`{kind}` outside of the model ran",
                help=f"call `{copied}` itself, or make the copy once, in `__init__`, and ask for that one",
                subject=copied,
            )
    return None


def _new_parameters(recording: Recording) -> dict[str, list[tuple[int, int]]]:
    """For each parameter the new ones that were made of its values alone, with the operation that made them."""
    source = {value: name for value, (role, name) in recording.leaf_names.items() if role == "parameter"}
    found: dict[str, list[tuple[int, int]]] = {}
    for row in range(len(recording)):
        inputs, outputs = recording.inputs_of(row), recording.outputs_of(row)
        if len(inputs) != 1 or len(outputs) != 1 or inputs[0] not in source:
            continue
        if recording.values.shape[inputs[0]] != recording.values.shape[outputs[0]]:
            continue
        source[outputs[0]] = source[inputs[0]]
        if has(recording.name_of(row), "rewraps"):
            found.setdefault(source[inputs[0]], []).append((outputs[0], row))
    return found


def _telling(layer: torch.nn.Module) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = dict(named_parameters_in(layer))
    if any(torch.nn.parameter.is_lazy(each) for each in found.values()):
        return {}
    varied = any(each.numel() > 1 and bool((each != each.flatten()[0]).any()) for each in found.values())
    return found if varied else {}


def _equal(weights: Mapping[str, torch.Tensor], others: Mapping[str, torch.Tensor]) -> bool:
    return weights.keys() == others.keys() and all(
        others[name] is not weight
        and others[name].shape == weight.shape
        and others[name].device == weight.device
        and torch.equal(others[name], weight)
        for name, weight in weights.items()
    )
