"""How one operation may be written: as an operator, as a function of torch, as a method. The one table.

An operation that has no operator is called the same as function and as method (``torch.detach(x)``, ``x.detach()``);
such pairs need no row.
"""

from __future__ import annotations

import libcst as cst
import torch
from torch import Tensor
from torch.nn import functional

# operator -> the name that both torch's function and the method have
BINARY: dict[type[cst.BaseBinaryOp], str] = {
    cst.Add: "add",
    cst.Subtract: "sub",
    cst.Multiply: "mul",
    cst.Divide: "div",
    cst.MatrixMultiply: "matmul",
    cst.Power: "pow",
    cst.Modulo: "remainder",
}
UNARY: dict[type[cst.BaseUnaryOp], str] = {cst.Minus: "neg"}
COMPARED: dict[type[cst.BaseCompOp], str] = {
    cst.GreaterThan: "gt",
    cst.GreaterThanEqual: "ge",
    cst.LessThan: "lt",
    cst.LessThanEqual: "le",
    cst.Equal: "eq",
    cst.NotEqual: "ne",
}
IN_PLACE: dict[type[cst.BaseAugOp], str] = {
    cst.AddAssign: "add_",
    cst.SubtractAssign: "sub_",
    cst.MultiplyAssign: "mul_",
    cst.DivideAssign: "div_",
}
# other names of torch's for the same function and method
ALIASES = {
    "abs": "absolute",
    "clamp": "clip",
    "div": "divide",
    "ge": "greater_equal",
    "gt": "greater",
    "le": "less_equal",
    "lt": "less",
    "mul": "multiply",
    "ne": "not_equal",
    "neg": "negative",
    "sub": "subtract",
    "transpose": "swapaxes",
    "trunc": "fix",
}
# methods whose function stands elsewhere
FUNCTION_ELSEWHERE = {"backward": "torch.autograd.backward"}
# calls that switch the same mode
SAME_MODE = {"torch.no_grad()": "torch.set_grad_enabled(False)"}
# of these a method takes the sizes one by one or together, a function only together
SIZES_TOGETHER = frozenset({"reshape", "permute", "flip", "tile", "broadcast_to"})
_MODULES = {"torch": torch, "F": functional, "functional": functional, "nn.functional": functional}
_MODULES |= {"torch.nn.functional": functional}


def function_module(code: str) -> bool:
    """Whether this is how a program names torch, or its functional module."""
    return code in _MODULES


def has_both_forms(name: str) -> bool:
    """Whether torch has a function and a method of this name."""
    return callable(getattr(torch, name, None)) and callable(getattr(Tensor, name, None)) and not name.startswith("_")
