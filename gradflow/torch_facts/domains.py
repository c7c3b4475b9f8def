"""Where an operation has no finite result."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from gradflow.torch_facts.node_kind import kind_of

__all__ = ["leaves_its_domain"]


def leaves_its_domain(node: Any, saved: Mapping[str, torch.Tensor]) -> bool:
    """Whether an operation that saves only its input had no finite result for it."""
    kind = kind_of(node)
    value = saved.get("other" if kind == "Div" else "self")
    if value is None or value.is_complex():
        return False
    match kind:
        case "Log" | "Log2" | "Log10":
            outside = value <= 0
        case "Log1P":
            outside = value <= -1
        case "Div":
            outside = value == 0
        case "Acos" | "Asin":
            outside = value.abs() > 1
        case "Acosh":
            outside = value < 1
        case "Atanh":
            outside = value.abs() >= 1
        case "Pow":
            exponent = getattr(node, "_saved_exponent", None)
            if not isinstance(exponent, (int, float)):
                return False
            outside = (value == 0) if exponent < 0 else (value < 0) & (float(exponent) != int(exponent))
        case _:
            return False
    return bool(outside.any())
