"""What operations of the dispatcher, ``torch.ops...``, declare of themselves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

__all__ = ["is_custom", "schemas_of"]


def schemas_of(function: Any) -> Iterator[Any]:
    """That of one operation; all that have the name where it is not known yet which; none of any other function."""
    if isinstance(function, torch._ops.OpOverload):
        yield function._schema
    elif isinstance(function, torch._ops.OpOverloadPacket):
        yield from (getattr(function, name)._schema for name in function.overloads())  # type: ignore[no-untyped-call]


def is_custom(function: Any) -> bool:
    """Whether it is an operator that somebody registered: what it is called says nothing about what it does."""
    if isinstance(function, torch._ops.OpOverload):
        return bool(function.namespace != "aten")
    return isinstance(function, torch._ops.OpOverloadPacket) and not function._qualified_op_name.startswith("aten::")
