"""Nested values gone through as torch's dispatcher does it, with every container that has been registered for it."""

from __future__ import annotations

from torch.utils._pytree import tree_leaves, tree_map_only

__all__ = ["tree_leaves", "tree_map_only"]
