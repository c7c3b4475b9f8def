"""Which modules can be switched between train and eval at all."""

from __future__ import annotations

import sys

import torch
from torch.export import UnflattenedModule

__all__ = ["is_exported", "is_in_train_mode", "modules_with_modes"]


def is_exported(module: torch.nn.Module) -> bool:
    """Whether a module runs an exported program, whose mode was settled when it was exported: its flag is nobody's."""
    if isinstance(module, UnflattenedModule):
        return True
    # what `ExportedProgram.module()` makes; the class is there once one was made
    unlift = sys.modules.get("torch.export._unlift")
    return unlift is not None and isinstance(module, unlift._StatefulGraphModule)


def is_in_train_mode(module: torch.nn.Module) -> bool | None:
    """Its flag; ``None`` where it has none, as `torch.jit.freeze` takes that from a module."""
    return getattr(module, "training", None)


def modules_with_modes(model: torch.nn.Module) -> tuple[torch.nn.Module, ...]:
    """The modules of a model, without exported programs and what they consist of, and without frozen ones."""
    fixed = {id(inner) for module in model.modules() if is_exported(module) for inner in module.modules()}
    return tuple(
        module for module in model.modules() if id(module) not in fixed and is_in_train_mode(module) is not None
    )
