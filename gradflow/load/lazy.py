"""Lazy layers, such as ``nn.LazyLinear``, get their parameters in their first run, which a copy of the model makes."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import UninitializedBuffer, is_lazy

from gradflow.errors import ModelRaisedError
from gradflow.load.user_code import raised_in
from gradflow.load.workload import Workload

__all__ = ["is_uninitialised", "with_lazy_layers_initialised"]

_uninitialised: Any = UninitializedBuffer  # its stub lacks the arguments


def is_uninitialised(tensor: torch.Tensor) -> bool:
    """Whether a parameter or buffer has no shape yet, because its lazy layer has not run."""
    lazy: bool = is_lazy(tensor)
    return lazy


def with_lazy_layers_initialised(workload: Workload) -> Workload:
    """The same workload where nothing is lazy; else with a copy of the model, whose lazy layers have run once.

    The model itself stays as it is.

    Raises
    ------
    ModelRaisedError
        When the model raises in that run.
    """
    if not any(is_lazy(tensor) for tensor in _tensors(workload.model)):
        return workload
    lazy = [buffer for buffer in workload.model.buffers() if is_uninitialised(buffer)]
    # which torch cannot copy
    fresh = {id(buffer): _uninitialised(device=buffer.device, dtype=buffer.dtype) for buffer in lazy}
    model = copy.deepcopy(workload.model, fresh)
    before = {id(tensor): tensor.detach().clone() for tensor in _tensors(model) if not is_uninitialised(tensor)}
    with torch.random.fork_rng(), torch.no_grad():
        try:
            model(*workload.inputs, **workload.keyword_inputs)
        except Exception as error:
            text = str(error).strip().partition("\n")[0]
            raise ModelRaisedError(
                f"the model raised {type(error).__name__} in its forward{f': {text}' if text else ''}",
                note=f"{raised_in(error)}, in the run in which its lazy layers get their parameters",
                hint="run the model by hand with the same input; `--input` or `--input-shape` gives it another one",
            ) from error
        for module in model.modules():
            if isinstance(module, nn.modules.batchnorm._NormBase) and id(module.running_mean) not in before:
                module.reset_running_stats()
        for tensor in _tensors(model):
            if id(tensor) in before:
                tensor.copy_(before[id(tensor)])
    note = "model: a copy, in which the lazy layers have run once to get their parameters"
    return replace(workload, model=model, assumptions=(*workload.assumptions, note))


def _tensors(model: nn.Module) -> tuple[torch.Tensor, ...]:
    return (*model.parameters(), *model.buffers())
