"""Keys that Python can look for in a dictionary without running code of the user's."""

from __future__ import annotations

import enum
import types
from typing import Any

import torch

__all__ = ["is_plain_key"]

_OF_PYTHON = (object, int, float, complex, str, bytes, tuple, frozenset, type(None), torch.device)
_HASHES = frozenset({enum.Enum.__hash__, *(kind.__hash__ for kind in _OF_PYTHON)})
_COMPARISONS = frozenset(kind.__eq__ for kind in _OF_PYTHON)
_METHODS = (types.WrapperDescriptorType, types.FunctionType)
_bases: Any = type.__dict__["__mro__"]
_of_type: Any = type.__dict__["__dict__"]


def is_plain_key(key: Any) -> bool:
    """Whether hashing and comparing it, and all that it is made of, is Python's own affair."""
    kind = type(key)
    if kind is str or kind is int:
        return True
    if _first(kind, "__hash__") not in _HASHES or _first(kind, "__eq__") not in _COMPARISONS:
        return False
    if issubclass(kind, tuple):
        return all(map(is_plain_key, tuple.__iter__(key)))
    return not issubclass(kind, frozenset) or all(map(is_plain_key, frozenset.__iter__(key)))


def _first(kind: type, name: str) -> Any:
    """What a class, or the first one that it inherits from, has under a name."""
    for cls in _bases.__get__(kind):
        if name in (own := _of_type.__get__(cls)):
            return own[name] if type(own[name]) in _METHODS else None
    return None
