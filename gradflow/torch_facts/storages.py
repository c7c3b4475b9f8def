"""Who else holds the memory of a tensor."""

from __future__ import annotations

import sys

import torch

__all__ = ["references_to"]


def references_to(storage: torch.UntypedStorage) -> int:
    """How often a storage is referred to: by each tensor and array over it, and by each name for itself.

    To be compared with the same of another storage, reached in the same way.
    """
    return torch._C._storage_Use_Count(storage._cdata) + sys.getrefcount(storage)
