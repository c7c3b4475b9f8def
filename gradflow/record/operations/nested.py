"""The tensors among an operation's arguments and results, however deep they are nested."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy
import torch

from gradflow.values import is_tensor, tensors_in

__all__ = ["nested_tensors"]

_BASE: Any = vars(numpy.ndarray)["base"].__get__


def nested_tensors(value: Any) -> Iterable[torch.Tensor]:
    """Those of :func:`~gradflow.values.tensors_in`, also behind arrays of their memory."""
    return (value,) if is_tensor(value) else tensors_in(value, _owner_of)


def _owner_of(value: Any) -> torch.Tensor | None:
    """The tensor whose memory an array shows: one made by ``Tensor.numpy()`` keeps it as its ``base``."""
    base = value
    while issubclass(type(base), numpy.ndarray):
        base = _BASE(base)
    return base if is_tensor(base) else None
