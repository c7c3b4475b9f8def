"""What Python itself says where a tensor was expected."""

from __future__ import annotations

from typing import Final

from gradflow.torch_facts.messages.message import Message

__all__ = ["IS_NONE", "NO_BACKWARD"]

NO_BACKWARD: Final = Message("object has no attribute 'backward'")
IS_NONE: Final = Message("NoneType")
