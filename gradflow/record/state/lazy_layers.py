"""Lazy layers, such as ``nn.LazyLinear``, get their parameters in their first run, which a copy of the model makes."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import UninitializedBuffer

from gradflow.errors import ModelRaisedError
from gradflow.interrupts import give_held_interrupt
from gradflow.load.lazy import is_uninitialised
from gradflow.load.module_tree import buffers_in, parameters_in
from gradflow.load.user_code import raised_in
from gradflow.load.workload import Workload
from gradflow.record.conduct.whose_error import is_ours, our_error, run_theirs
from gradflow.record.state.keeper import preserved
from gradflow.spelled import Spelled
from gradflow.torch_facts.module_machinery import NORMS_WITH_STATISTICS
from gradflow.values import tensors_in

__all__ = ["with_lazy_layers_initialised"]

_uninitialised: Any = UninitializedBuffer  # its stub lacks the arguments


def with_lazy_layers_initialised(workload: Workload) -> Workload:
    """The same workload where nothing is lazy; else with a copy of the model, whose lazy layers have run once.

    The model itself stays as it is, and so do its input and the random state.

    Raises
    ------
    ModelRaisedError
        When the model raises in that run.
    """
    if not any(is_uninitialised(tensor) for tensor in _tensors(workload.model)):
        return workload
    inputs = (*workload.inputs, *workload.keyword_inputs.values())
    with preserved(workload.model, inputs) as keeper, torch.no_grad():
        for tensor in tensors_in(inputs):
            keeper.before_write(tensor)
        give_held_interrupt()
        copied = _copy(workload.model)
        with keeper.noting():
            _run_once(replace(workload, model=copied))
        shapeless = _without_shape(copied)
    notes = ["model: a copy, in which the lazy layers have run once to get their parameters"]
    if shapeless:
        names = ", ".join(f"`{name}`" for name in shapeless)
        notes.append(f"no entries in what has no shape yet, because its layer did not run: {names}")
    return replace(workload, model=copied, assumptions=(*workload.assumptions, *notes))


def _without_shape(model: nn.Module) -> list[str]:
    """Name what belongs to layers that did not run, and make it empty: nobody can know how much there will be."""
    found: list[tuple[str, Any]] = [*model.named_parameters(), *model.named_buffers()]
    lazy = [(name, tensor) for name, tensor in found if is_uninitialised(tensor)]
    for _, tensor in lazy:
        tensor.materialize((0,))
    return [name for name, _ in lazy]


def _copy(model: nn.Module) -> nn.Module:
    lazy = [buffer for buffer in model.buffers() if is_uninitialised(buffer)]
    # which torch cannot copy
    fresh = {id(buffer): _uninitialised(device=buffer.device, dtype=buffer.dtype) for buffer in lazy}
    return copy.deepcopy(model, fresh)


def _run_once(workload: Workload) -> None:
    """Run the copy; what was no lazy layer's keeps its values."""
    model = workload.model
    before = {id(tensor): tensor.detach().clone() for tensor in _tensors(model) if not is_uninitialised(tensor)}
    try:
        workload.run_model(run_theirs)
    except Exception as error:
        if is_ours(error):
            raise our_error(error) from error
        text = str(error).strip().partition("\n")[0]
        raise ModelRaisedError(
            f"the model raised {type(error).__name__} in its forward{f': {text}' if text else ''}",
            note=f"{raised_in(error)}, in the run in which its lazy layers get their parameters",
            hint=Spelled(
                "run the model by hand with the same input; `--input` or `--input-shape` gives it another one",
                in_python="run the model by hand with the same input; `inputs=...` gives it another one",
            ),
        ) from error
    for module in model.modules():
        if isinstance(module, NORMS_WITH_STATISTICS) and id(module.running_mean) not in before:
            module.reset_running_stats()
    for tensor in _tensors(model):
        if id(tensor) in before:
            tensor.copy_(before[id(tensor)])


def _tensors(model: nn.Module) -> tuple[torch.Tensor, ...]:
    return (*parameters_in(model), *buffers_in(model))
