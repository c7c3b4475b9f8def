"""The attributes and methods of torch's own base class of all tensors, past whatever a subclass makes of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

__all__ = ["MAKING_SUBCLASSES", "getter", "is_alias_of", "method", "setter"]

_SLOTS: dict[str, Any] = dict(vars(torch._C.TensorBase))

MAKING_SUBCLASSES: tuple[type, str] = (torch.Tensor, "_make_subclass")
"""Where programs find the function that makes a leaf of a class of their own over the numbers of a tensor."""

is_alias_of: Callable[[torch.Tensor, torch.Tensor], bool] = torch._C._is_alias_of  # type: ignore[attr-defined]
"""Whether two tensors have one storage: also told of those that are empty or have no address."""


def getter(name: str) -> Callable[[torch.Tensor], Any]:
    """What reads an attribute."""
    read: Callable[[torch.Tensor], Any] = _SLOTS[name].__get__
    return read


def setter(name: str) -> Callable[[torch.Tensor, Any], None]:
    """What writes an attribute."""
    write: Callable[[torch.Tensor, Any], None] = _SLOTS[name].__set__
    return write


def method(name: str) -> Callable[..., Any]:
    """A method, not bound."""
    found: Callable[..., Any] = _SLOTS[name]
    return found
