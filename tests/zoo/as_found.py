"""Everything that a check could leave behind, taken before and after it: the model's objects, torch, the process."""

from __future__ import annotations

import gc
import random
import threading
import zlib
from typing import Any

import numpy
import torch
import torch.nn.modules.module as module_machinery
from torch import nn

__all__ = ["Snapshot", "difference", "snapshot"]

Snapshot = dict[str, Any]
"""From what it is, in words, to something that is equal only where nothing has changed."""

_NAMESPACES = (
    torch, torch.Tensor, torch.autograd, torch.autograd.Function, torch.nn.Module, torch.nn.Parameter,
    torch.nn.functional, torch.inference_mode, torch.no_grad, torch.optim.Optimizer,
    torch.utils.dlpack, torch.utils.hooks, torch.jit,
    torch.Tensor.__base__,
)  # fmt: skip


def snapshot(model: nn.Module) -> Snapshot:
    """What is there now; nothing of it is kept alive but by its own owner."""
    found: Snapshot = {
        "the random state of torch": torch.get_rng_state().numpy().tobytes(),
        "the random state of Python": random.getstate(),
        "the random state of numpy": repr(numpy.random.get_state()),  # noqa: NPY002
        "the threads": sorted(thread.name for thread in threading.enumerate()),
        "the settings of torch": (
            torch.is_grad_enabled(),
            torch.is_inference_mode_enabled(),
            torch.get_default_dtype(),
            torch.are_deterministic_algorithms_enabled(),
            torch.is_anomaly_enabled(),
            torch._C._len_torch_function_stack(),
            torch._C._len_torch_dispatch_stack(),
            torch.is_autocast_enabled("cpu"),
            gc.isenabled(),
        ),
    }
    for namespace in _NAMESPACES:
        found[f"what lies in {namespace}"] = {name: id(value) for name, value in vars(namespace).items()}
    for name in ("_global_forward_hooks", "_global_forward_pre_hooks", "_global_backward_hooks"):
        found[name] = list(getattr(module_machinery, name))
    for name, module in model.named_modules(remove_duplicate=False):
        found[f"the module {name or '(itself)'}"] = _of_module(module)
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        found[f"the tensor {name}"] = (
            id(tensor),
            id(tensor.grad),
            tensor.requires_grad,
            tensor.data_ptr(),
            zlib.crc32(tensor.detach().flatten().view(torch.uint8).numpy().data) if tensor.numel() else 0,
            list(tensor._backward_hooks or {}),
        )
    return found


def _of_module(module: nn.Module) -> Any:
    """Its attributes by identity, and what lies in its tables, hooks included."""
    attributes = {}
    for name, value in vars(module).items():
        inside = {key: id(item) for key, item in value.items()} if isinstance(value, dict) else None
        # small numbers and the like are equal rather than the same
        attributes[name] = value if isinstance(value, int | float | str | bool | None) else id(value), inside
    return type(module), attributes


def difference(before: Snapshot, after: Snapshot) -> tuple[str, ...]:
    """What is not as it was, in words."""
    return tuple(what for what in dict.fromkeys((*before, *after)) if before.get(what) != after.get(what))
