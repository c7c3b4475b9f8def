"""Calls of which nothing inside is recorded: each is one operation, that does one does not know what."""

from __future__ import annotations

__all__ = ["COMPILED", "OPAQUE", "SCRIPTED"]

COMPILED = "(compiled)"
"""The name of a call of what ``torch.compile`` made: one operation, that reads more than what it was given."""

SCRIPTED = "(TorchScript)"
"""The name of a call of a TorchScript function or method: one operation, that may read the parameters of its module."""

OPAQUE = {COMPILED: "compiled code", SCRIPTED: "TorchScript"}
"""What runs in such a call, in words."""
