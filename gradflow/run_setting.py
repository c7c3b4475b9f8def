"""What surrounds a run: whether autograd may record, and what it all ran with."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from contextlib import contextmanager

import torch

import gradflow
from gradflow.load.lazy import is_uninitialised
from gradflow.load.module_tree import parameters_in
from gradflow.load.workload import Workload
from gradflow.recording import Recording
from gradflow.report import Environment
from gradflow.torch_facts.modes import modules_with_modes
from gradflow.values import tensors_in

__all__ = ["environment_of", "recording_allowed"]


@contextmanager
def recording_allowed(workload: Workload) -> Iterator[tuple[str, ...]]:
    """Let autograd record, unless it was the model's own code that switched it off; gives what is to be said of it."""
    if workload.provenance.grad_mode_at is not None or (
        torch.is_grad_enabled() and not torch.is_inference_mode_enabled()
    ):
        yield ()
        return
    what = "inference mode" if torch.is_inference_mode_enabled() else "no_grad"
    with torch.inference_mode(False), torch.enable_grad():
        yield (f"gradients: called under {what}; gradflow recorded gradients for its own run all the same",)


def environment_of(workload: Workload, recording: Recording, forward_count: int, duration_s: float) -> Environment:
    """Versions, device, mode and sizes."""
    parameters = [parameter for parameter in parameters_in(workload.model) if not is_uninitialised(parameter)]
    sample = next(iter((*parameters, *tensors_in(workload.inputs))), None)
    return Environment(
        torch=torch.__version__,
        python=platform.python_version(),
        gradflow=gradflow.__version__,
        device=str(sample.device) if sample is not None else "cpu",
        dtype=str(sample.dtype).removeprefix("torch.") if sample is not None else "",
        mode=_mode(workload.model),
        seed=workload.seed,
        model=workload.model_name,
        input=workload.input_description,
        parameter_count=sum(parameter.numel() for parameter in parameters),
        operation_count=len(recording),
        module_call_count=len(recording.calls),
        forward_count=forward_count,
        duration_s=duration_s,
    )


def _mode(model: torch.nn.Module) -> str:
    """Empty where nothing in the model has one."""
    modes = {module.training for module in modules_with_modes(model)}
    if not modes:
        return ""
    if len(modes) == 2:
        return "mixed (some modules train, some eval)"
    return "train" if modes == {True} else "eval"
