"""Where a module may run without its operations being recorded, in words."""

from __future__ import annotations

__all__ = ["IN_COMPILED", "IN_THREAD", "IN_TRANSFORM"]

IN_TRANSFORM = "inside a transform of torch (`torch.vmap`, `torch.func.grad` and their like)"
IN_THREAD = "in another thread"
IN_COMPILED = "inside an operator that torch compiles for itself (`torch.cond` and its like)"
