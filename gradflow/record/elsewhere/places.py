"""Where a module may run without its operations being recorded, in words."""

from __future__ import annotations

__all__ = ["IN_THREAD", "IN_TRANSFORM"]

IN_TRANSFORM = "inside a transform of torch (`torch.vmap`, `torch.func.grad` and their like)"
IN_THREAD = "in another thread"
