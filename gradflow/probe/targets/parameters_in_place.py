"""The parameters that are asked for in place of an output: that of a layer which gave none that is to have a gradient.

A table of positions is no such output either, though it holds numbers that could have one.

Only for layers that a glob named. Who names a layer itself means its output.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import torch

from gradflow.graph.constants import are_constant
from gradflow.graph.dependence import is_differentiable
from gradflow.load.module_tree import named_modules_in, own_parameters
from gradflow.record.run import Run

__all__ = ["parameters_in_place"]


def parameters_in_place(
    run: Run, layers: Mapping[str, torch.nn.Module], globbed: Collection[str]
) -> dict[str, dict[str, torch.Tensor]]:
    """By layer the trainable parameters that nothing else of the same check speaks for; none where it holds none.

    Parameters
    ----------
    run
        A run of the model. Of one that failed nothing is said.
    layers
        All that are asked for.
    globbed
        Those of which no pattern is the name.
    """
    if run.failure is not None:
        return {}
    found: dict[str, dict[str, torch.Tensor]] = {}
    for name in (each for each in layers if each in globbed and not _is_to_have_a_gradient(run, each)):
        found[name] = {
            f"{module_name}.{parameter_name}": parameter
            for module_name, module in _not_asked_for(name, layers)
            for parameter_name, parameter in own_parameters(module)
            if parameter.requires_grad
        }
    return found


def _is_to_have_a_gradient(run: Run, name: str) -> bool:
    recording = run.recording
    values = [value for activation in run.live.activations.get(name, ()) for value in activation.values]
    found = [value for value in values if value < 0 or is_differentiable(recording.dtype_of(value))]
    return bool(found) and not are_constant(recording, found)


def _not_asked_for(name: str, layers: Mapping[str, torch.nn.Module]) -> list[tuple[str, torch.nn.Module]]:
    """A layer and the modules within it that have no answer of their own."""
    inside = [(f"{name}.{inner}" if inner else name, module) for inner, module in named_modules_in(layers[name])]
    return [(inner, module) for inner, module in inside if inner == name or inner not in layers]
