"""The memory of tensors: who else holds it, whether it is still there, where a capsule shows it."""

from __future__ import annotations

import ctypes
import sys
from typing import Any

import torch
from torch.multiprocessing.reductions import StorageWeakRef

__all__ = [
    "StorageWeakRef",
    "address_of",
    "is_gone",
    "looks_at_same",
    "memory_of_capsule",
    "references_to",
    "weakly",
]


def address_of(storage: torch.UntypedStorage) -> int | None:
    """Where the bytes of a storage lie; ``None`` for that of a wrapper subclass, which keeps its values elsewhere."""
    try:
        return storage.data_ptr()
    except RuntimeError:
        return None


def looks_at_same(tensor: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether two tensors look at the same numbers in the same way; ``False`` also where torch cannot tell.

    That is so for quantized and for nested tensors: no kernel of theirs compares.
    """
    try:
        return tensor.is_set_to(other)
    except (RuntimeError, NotImplementedError):
        return False


def references_to(storage: torch.UntypedStorage) -> int:
    """How often a storage is referred to: by each tensor and array over it, and by each name for itself.

    To be compared with the same of another storage, reached in the same way.
    """
    return torch._C._storage_Use_Count(storage._cdata) + sys.getrefcount(storage)


def weakly(storage: torch.UntypedStorage) -> StorageWeakRef:
    """A reference that lets a storage go."""
    return StorageWeakRef(storage)  # type: ignore[no-untyped-call]


def is_gone(storage: StorageWeakRef) -> bool:
    """Whether nothing holds a storage any more: its memory is free."""
    return bool(storage.expired())  # type: ignore[no-untyped-call]


_is_valid = ctypes.pythonapi.PyCapsule_IsValid
_is_valid.argtypes, _is_valid.restype = (ctypes.py_object, ctypes.c_char_p), ctypes.c_int
_pointer = ctypes.pythonapi.PyCapsule_GetPointer
_pointer.argtypes, _pointer.restype = (ctypes.py_object, ctypes.c_char_p), ctypes.c_void_p

_DLPACK = b"dltensor"


def memory_of_capsule(capsule: Any) -> int:
    """The address of the memory that a capsule of `to_dlpack` shows; 0 for anything else, and for one that is used up.

    A ``DLManagedTensor`` begins with a ``DLTensor``, and that with the pointer to its memory.
    """
    if not _is_valid(capsule, _DLPACK):
        return 0
    return ctypes.c_void_p.from_address(_pointer(capsule, _DLPACK)).value or 0
