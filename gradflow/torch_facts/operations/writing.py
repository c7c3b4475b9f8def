"""Operations as a person writes them: ``y[...] = ...`` for what Python calls ``__setitem__``."""

from __future__ import annotations

from gradflow.torch_facts.operations.spelling import INFIX, OPERATORS
from gradflow.torch_facts.operations.table import CHANGED_THROUGH_VIEW

__all__ = ["written"]

_WRITTEN = {
    **{f"__{name}__": sign for name, (_, sign) in (INFIX | OPERATORS).items()},
    **{f"__r{name}__": sign for name, (_, sign) in INFIX.items()},
    **{f"__i{name}__": f"{sign}=" for name, (_, sign) in INFIX.items()},
    "__getitem__": "y[...]", "__setitem__": "y[...] = ...", "__contains__": "in",
    "__float__": "float(...)", "__int__": "int(...)", "__complex__": "complex(...)", "__index__": "used as an index",
    "__bool__": "if ...", "is_nonzero": "if ...",
    "__array__": "np.asarray(...)", "__array_wrap__": "a NumPy function",
    "data": ".data", "data=": ".data = ...",
    "rsub": "-", "Parameter": "nn.Parameter(...)", "Variable": "Variable(...)",
    CHANGED_THROUGH_VIEW: "a write into shared memory",
}  # fmt: skip


def written(operation: str) -> str:
    """The name of an operation as it stands in source code; torch's own name where that is what people write."""
    return _WRITTEN.get(operation, operation)
