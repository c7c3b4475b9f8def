"""Train mode and eval mode, for the time of a run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch

from gradflow.errors import UsageError
from gradflow.torch_facts.modes import is_in_train_mode

__all__ = ["Mode", "in_mode", "is_training", "model_in_mode"]

Mode = Literal["train", "eval"]


def is_training(model: torch.nn.Module) -> bool:
    """Whether any part of a model is in train mode."""
    return any(map(is_in_train_mode, model.modules()))


@contextmanager
def in_mode(model: torch.nn.Module, mode: Mode | None) -> Iterator[None]:
    """Every module of a model in one mode; ``None`` leaves each in its own. Each gets its own back, whatever happens.

    Only the flags are set: what a model does besides when its ``eval()`` is called (some merge weights) is not undone
    by setting a flag back.
    """
    modules = [(module, is_in_train_mode(module)) for module in model.modules()] if mode is not None else []
    found = [(module, training) for module, training in modules if training is not None]
    try:
        for module, _ in found:
            module.training = mode == "train"
        yield
    finally:
        for module, training in found:
            module.training = training


@contextmanager
def model_in_mode(model: Any, mode: Mode | None) -> Iterator[None]:
    """The same for what a caller hands over as a model and as a mode.

    Raises
    ------
    UsageError
        When there is no such mode.
    """
    if mode not in (None, "train", "eval"):
        raise UsageError(f"there is no mode `{mode}`", hint='`mode="train"` or `mode="eval"`, or leave it out')
    if mode is None or not isinstance(model, torch.nn.Module):
        yield
        return
    with in_mode(model, mode):
        yield
