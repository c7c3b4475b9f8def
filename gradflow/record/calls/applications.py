"""An application of one of the user's own autograd Functions, with what it was given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from gradflow.values import mapped

__all__ = ["Application", "copied", "is_custom"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """One ``apply``: the class, its row, and detached copies of the arguments as they were before it."""

    function: type
    operation: int
    arguments: tuple[Any, ...]


def is_custom(function: type) -> bool:
    """Whether an autograd Function was written outside torch."""
    return function.__module__.partition(".")[0] not in ("torch", "gradflow")


def copied(value: Any) -> Any:
    """The same nested value with detached copies of its tensors, which keep their ``requires_grad``."""
    return mapped(value, _detached_copy, afresh=True)


def _detached_copy(part: Any) -> Any:
    if not isinstance(part, torch.Tensor):
        return part
    with torch.no_grad():
        copy = part.detach().clone()
    return copy.requires_grad_(part.requires_grad)
