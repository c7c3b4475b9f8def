"""What stands behind the wrappers of torch's function transforms, inside which nothing is recorded."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from gradflow.record.operations.nested import nested_tensors
from gradflow.torch_facts.transforms import is_wrapped, unwrapped

__all__ = ["tensors_behind"]


def tensors_behind(value: Any) -> Iterator[torch.Tensor]:
    """The tensors in a nested value, each as it was before transforms wrapped it."""
    for found in nested_tensors(value):
        tensor = found
        while is_wrapped(tensor):
            tensor = unwrapped(tensor)
        yield tensor
