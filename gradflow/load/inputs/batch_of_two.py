"""Two samples instead of one, where batch norms in train mode have nothing to normalise in a batch of one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from gradflow.load.inputs.random_input import GUESSED_BYTES, bytes_of, random_tensor
from gradflow.load.quiet import quietly
from gradflow.load.trial.bounded import runs_without_data
from gradflow.load.trial.counting import Counting, TooMuchError
from gradflow.load.trial.twin import NoTwinError, twin_without_data
from gradflow.torch_facts.module_machinery import BATCH_NORMS

__all__ = ["normalises_batches", "two_samples"]

Call = tuple[tuple[Any, ...], dict[str, Any]]


def normalises_batches(model: nn.Module) -> bool:
    """Whether some batch norm takes mean and variance from the batch, and not from what it has seen before."""
    return any(
        isinstance(module, BATCH_NORMS)
        and (module.training or (module.running_mean is None and module.running_var is None))
        for module in model.modules()
    )


def two_samples(
    model: nn.Module, arguments: tuple[Any, ...], keywords: Mapping[str, Any], seed: int, counting: Counting
) -> Call | None:
    """The same inputs with a second sample, other than the first; ``None`` where one sample is enough.

    ``counting`` counts the run in which that is tried.

    Tried on a copy without data. Where the copy runs with neither, two are taken: a model that takes two samples and
    not one is a usual one, the other way round it is odd.
    """
    if not normalises_batches(model):
        return None
    given = (*arguments, *keywords.values())
    tensors = [value for value in given if isinstance(value, torch.Tensor)]
    if not tensors or len(tensors) < len(given) or any(not one.ndim or one.shape[0] != 1 for one in tensors):
        return None
    if any(2 * bytes_of(one.shape, one.dtype) > GUESSED_BYTES for one in tensors):
        return None
    if _runs(model, arguments, dict(keywords), counting):
        return None

    def doubled(number: int, tensor: torch.Tensor) -> torch.Tensor:
        if not (tensor.is_floating_point() or tensor.is_complex()):
            return tensor.repeat(2, *[1] * (tensor.ndim - 1))
        # equal samples have no variance, and what a batch norm makes of them no gradient
        second = random_tensor(tensor.shape, tensor.dtype, model=model, seed=seed + len(given) + number)
        return torch.cat([tensor, second.to(tensor.device)])

    made = [doubled(number, tensor) for number, tensor in enumerate(tensors)]
    return tuple(made[: len(arguments)]), dict(zip(keywords, made[len(arguments) :], strict=True))


def _runs(model: nn.Module, arguments: tuple[Any, ...], keywords: dict[str, Any], counting: Counting) -> bool:
    try:
        with quietly():
            return runs_without_data(twin_without_data(model), arguments, keywords, counting)
    except (TooMuchError, NoTwinError):
        return False
