"""A layer that never ran while a copy of it did: the copy is the one to ask."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from gradflow.load.module_tree import named_modules_in, named_parameters_in
from gradflow.location import SourceSpan
from gradflow.probe.layer_view import NotCalled
from gradflow.trace.data import Trace

__all__ = ["explain_copy"]


def explain_copy(
    model: torch.nn.Module, trace: Trace, target: str, registered_at: Mapping[str, SourceSpan]
) -> NotCalled | None:
    """The module that ran in the place of ``target``: another object of the same class with the same weights.

    Weights that are all one number (those of a fresh normalisation) say nothing; ``None`` where no copy ran.
    """
    layer = model.get_submodule(target)
    weights = _telling(layer)
    if not weights:
        return None
    others = dict(named_modules_in(model))
    for name in trace.calls_by_module:
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
