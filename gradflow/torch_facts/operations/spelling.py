"""Which names mean one operation: ``sub``, ``subtract``, ``sub_``, ``__rsub__``, ``torch.sub``, ``aten::sub.Tensor``.

What is known of an operation is known of all its spellings, because every question goes through
:func:`spelling_of`. What tells spellings apart is kept: whether one writes in place, and whether it takes its two
arguments in the other order.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

__all__ = ["ALIASES", "INFIX", "OPERATORS", "Spelling", "operation_of", "spelling_of"]

INFIX = {
    "add": ("add", "+"), "sub": ("sub", "-"), "mul": ("mul", "*"), "truediv": ("div", "/"), "div": ("div", "/"),
    "floordiv": ("floor_divide", "//"), "mod": ("remainder", "%"), "pow": ("pow", "**"), "matmul": ("matmul", "@"),
    "and": ("bitwise_and", "&"), "or": ("bitwise_or", "|"), "xor": ("bitwise_xor", "^"),
    "lshift": ("bitwise_left_shift", "<<"), "rshift": ("bitwise_right_shift", ">>"),
}  # fmt: skip
"""Python's operators between two values: each has a method, one with ``r`` for the other order, one with ``i``."""

OPERATORS = {
    "eq": ("eq", "=="), "ne": ("ne", "!="), "lt": ("lt", "<"), "le": ("le", "<="), "gt": ("gt", ">"),
    "ge": ("ge", ">="), "neg": ("neg", "-y"), "invert": ("bitwise_not", "~y"), "abs": ("abs", "abs(...)"),
    "pos": ("positive", "+y"),
}  # fmt: skip
"""The others."""

ALIASES = {
    "subtract": "sub", "multiply": "mul", "divide": "div", "true_divide": "div", "negative": "neg", "absolute": "abs",
    "greater": "gt", "less": "lt", "greater_equal": "ge", "less_equal": "le", "not_equal": "ne",
    "concat": "cat", "concatenate": "cat", "row_stack": "vstack", "clip": "clamp", "fix": "trunc",
    "swapaxes": "transpose", "swapdims": "transpose", "moveaxis": "movedim", "arctan2": "atan2", "arctan": "atan",
    "arcsin": "asin", "arccos": "acos", "linalg_matmul": "matmul", "special_expit": "sigmoid", "special_erf": "erf",
    "special_erfc": "erfc", "special_erfinv": "erfinv", "special_exp2": "exp2", "special_expm1": "expm1",
    "special_log1p": "log1p", "special_logsumexp": "logsumexp", "special_softmax": "softmax",
    "special_log_softmax": "log_softmax", "special_round": "round", "special_xlogy": "xlogy", "ger": "outer",
    "logsigmoid": "log_sigmoid", "hard_sigmoid": "hardsigmoid", "hard_swish": "hardswish", "swish": "silu",
    "vector_norm": "linalg_vector_norm", "matrix_norm": "linalg_matrix_norm", "getitem": "__getitem__",
    "setitem": "__setitem__", "_foreach_zero": "zero",
    "linalg_diagonal": "diagonal", "upsample_nearest1d": "upsample_nearest",
}  # fmt: skip
"""Other names of the same function."""

_MARKED = {
    **{f"__{name}__": (operation, False, False) for name, (operation, _) in (INFIX | OPERATORS).items()},
    **{f"__r{name}__": (operation, False, True) for name, (operation, _) in INFIX.items()},
    **{f"__i{name}__": (operation, True, False) for name, (operation, _) in INFIX.items()},
    "rsub": ("sub", False, True),
    "__setitem__": ("__setitem__", True, False),
    "data=": ("data=", True, False),
}
_NAMESPACES = frozenset({"torch", "ops", "nn", "functional", "aten", "prims", "operator", "builtins", "Tensor"})
_PREFIXED = frozenset({"linalg", "fft", "special"})


@dataclass(frozen=True, slots=True)
class Spelling:
    """One name of an operation.

    ``operation`` is its row in the table; ``is_in_place`` tells that this name changes the first argument, and
    ``is_reflected`` that the second argument comes first: ``__rsub__``.
    """

    operation: str
    is_in_place: bool = False
    is_reflected: bool = False


@functools.cache
def spelling_of(name: str) -> Spelling:
    """What a name means, as torch's function modes, its dispatcher or its exported programs give it."""
    if name.endswith(".apply"):
        return Spelling(name)  # of a custom Function, whatever it is called
    plain = _without_namespace(name)
    marked = _MARKED.get(plain)
    if marked is not None:
        return Spelling(*marked)
    if plain.endswith("__"):
        return Spelling(plain)
    base = plain.removesuffix("_") or plain
    return Spelling(ALIASES.get(base, base), is_in_place=base != plain)


def operation_of(name: str) -> str:
    """The name under which the table has an operation."""
    return spelling_of(name).operation


def _without_namespace(name: str) -> str:
    """``add_`` of ``aten::add_.Tensor``, ``linalg_norm`` of ``torch.linalg.norm``."""
    parts = [part for part in name.replace("::", ".").split(".") if part]
    while len(parts) > 1 and parts[0] in _NAMESPACES:
        parts = parts[1:]
    if len(parts) > 1 and parts[0] in _PREFIXED:
        return "_".join(parts[:2])
    return parts[0] if parts else name
