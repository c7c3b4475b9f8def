"""What an autograd node tells of its own derivative: by what it multiplies, and whether it is zero for any input."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch

from gradflow.torch_facts.node_kind import kind_of, operation_behind
from gradflow.torch_facts.operations.queries import has
from gradflow.torch_facts.pointwise import is_pointwise

__all__ = [
    "NodeFacts",
    "can_cancel",
    "factor_of",
    "facts_of",
    "ignores_all",
    "is_of_equals",
    "is_of_one_entry",
    "is_padding",
    "is_staircase",
    "zero_operands",
]

_FACTORS: dict[str, dict[int, str]] = {
    # for each input of the forward, the saved tensor that its gradient is multiplied with
    "Mul": {0: "other", 1: "self"},
    "Mm": {0: "mat2", 1: "self"},
    "Bmm": {0: "mat2", 1: "self"},
    "Addmm": {1: "mat2", 2: "mat1"},
    "Baddbmm": {1: "batch2", 2: "batch1"},
    "Mv": {0: "vec", 1: "self"},
    "Dot": {0: "tensor", 1: "self"},
    "Convolution": {0: "weight", 1: "input"},
    "NativeLayerNorm": {0: "weight"},
    "NativeBatchNorm": {0: "weight"},
    "CudnnBatchNorm": {0: "weight"},
    "NativeGroupNorm": {0: "weight"},
}
_OPERANDS: dict[str, dict[int, int]] = {
    # for each input of the forward, which argument of the operation is its factor: of ``linear`` and convolutions too
    "Mul": {0: 1, 1: 0},
    "Div": {1: 0},
    "Mm": {0: 1, 1: 0},
    "Bmm": {0: 1, 1: 0},
    "Addmm": {1: 1, 2: 0},
    "Convolution": {0: 1, 1: 0},
}
_ADDED: dict[str, frozenset[int]] = {
    "Add": frozenset({0, 1}),
    "Sub": frozenset({0, 1}),
    "Rsub": frozenset({0, 1}),
    "Expand": frozenset({0}),
    "Repeat": frozenset({0}),
    "Addmm": frozenset({0}),
    "Baddbmm": frozenset({0}),
    "Convolution": frozenset({2}),
}
"""The inputs that are only added or repeated: their gradient is summed up as it comes."""

_ENTRY_BY_ENTRY = frozenset({
    "Mul", "Div", "Neg", "Mean", "Sum", "Pow", "Exp", "Log", "Sqrt", "Rsqrt", "Reciprocal", "Sigmoid", "Tanh", "ToCopy",
    "MseLoss", "L1Loss", "SmoothL1Loss", "BinaryCrossEntropy", "BinaryCrossEntropyWithLogits", "Abs", "Gelu", "Silu",
})  # fmt: skip
"""Every entry of the gradient is scaled by itself: what is small afterwards is small, and no rounding error."""

_SPREADS = frozenset({"Std", "Var", "StdMean", "VarMean"})

_NEAREST = 1
_UNSIGNED = 2**64


def can_cancel(node: Any) -> bool:
    """Whether a node adds up entries of the gradient, so that next to nothing may be left of large ones."""
    return kind_of(node) not in _ENTRY_BY_ENTRY


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFacts:
    """All of them, for the edges along which nothing goes on; named as in ``NodeFlow``."""

    factor: float | None = None
    least_factor: float | None = None
    is_staircase: bool = False
    is_pointwise: bool = False
    is_of_one_entry: bool = False
    ignores_all: bool = False
    is_padding: bool = False
    is_of_equals: bool = False
    zero_operands: tuple[int, ...] = ()


def facts_of(node: Any, edges: Iterable[int], *, reads_saved: bool = True) -> NodeFacts:
    """Ask a node while its graph still holds the saved tensors; without them where they are not to be looked at."""
    if not reads_saved:
        return NodeFacts(is_staircase=is_staircase(node), is_pointwise=is_pointwise(node))
    dead = tuple(edges)
    factors = [factor_of(node, edge) for edge in dead]
    least = [_least_factor_of(node, edge) for edge in dead]
    return NodeFacts(
        factor=max((factor for factor in factors if factor is not None), default=None),
        least_factor=None if None in least else min((factor for factor in least if factor is not None), default=None),
        is_staircase=is_staircase(node),
        is_pointwise=is_pointwise(node),
        is_of_one_entry=is_of_one_entry(node),
        ignores_all=ignores_all(node),
        is_padding=is_padding(node),
        is_of_equals=is_of_equals(node),
        zero_operands=zero_operands(node, dead),
    )


def is_staircase(node: Any) -> bool:
    """Whether the derivative is zero everywhere, whatever the input: rounding, signs, nearest sampling of a grid."""
    kind = kind_of(node)
    if has(operation_behind(node), "flat") or (
        kind == "Div" and getattr(node, "_saved_rounding_mode", None) is not None
    ):
        return True
    return kind.startswith("GridSampler") and getattr(node, "_saved_interpolation_mode", None) == _NEAREST


def is_of_one_entry(node: Any) -> bool:
    """Whether a softmax is over a single entry, whose share is 1 whatever it is."""
    if not kind_of(node).startswith(("Softmax", "LogSoftmax")):
        return False
    shares = _saved(node, "result")
    if shares is None or not shares.dim():
        return shares is not None
    # torch hands out negative numbers as unsigned ones
    dimension = (int(node._saved_dim) + _UNSIGNED // 2) % _UNSIGNED - _UNSIGNED // 2
    return bool(shares.shape[dimension] == 1)


def ignores_all(node: Any) -> bool:
    """Whether a loss over classes leaves every position out, because its label is the one to ignore."""
    if not kind_of(node).startswith("NllLoss"):
        return False
    labels = _saved(node, "target")
    ignored = (int(node._saved_ignore_index) + _UNSIGNED // 2) % _UNSIGNED - _UNSIGNED // 2
    with torch.no_grad():
        return labels is not None and labels.numel() > 0 and bool((labels == ignored).all())


def is_padding(node: Any) -> bool:
    """Whether an embedding looks up nothing but the row whose gradient its ``padding_idx`` withholds."""
    if not kind_of(node).startswith("Embedding"):
        return False
    rows, padding = _saved(node, "indices"), int(getattr(node, "_saved_padding_idx", _UNSIGNED - 1))
    with torch.no_grad():
        return rows is not None and rows.numel() > 0 and bool((rows == padding).all())


def is_of_equals(node: Any) -> bool:
    """Whether a standard deviation or variance is one of values that are all equal, where torch's slope is zero."""
    values = _saved(node, "self") if kind_of(node) in _SPREADS else None
    if values is None or not values.numel():
        return False
    with torch.no_grad():
        # torch hands out negative numbers as unsigned ones
        saved = getattr(node, "_saved_dim", None) or range(values.dim())
        along = [(int(each) + _UNSIGNED // 2) % _UNSIGNED - _UNSIGNED // 2 for each in saved]
        return torch.equal(values.amax(along), values.amin(along)) if along else True


def zero_operands(node: Any, edges: Iterable[int]) -> tuple[int, ...]:
    """Which inputs of a product or quotient are all zero, so that nothing goes on along ``edges``."""
    kind = kind_of(node)
    found = []
    for edge in edges:
        operand = _OPERANDS.get(kind, {}).get(edge, -1)
        saved = _saved(node, "self" if kind == "Div" else _FACTORS[kind][edge]) if operand >= 0 else None
        if saved is not None and saved.numel() and not bool(saved.detach().any()):
            found.append(operand)
    return tuple(found)


def factor_of(node: Any, edge: int) -> float | None:
    """The largest magnitude in what the gradient along ``edge`` is multiplied with; ``None`` where that is not known.

    To be asked while the graph still holds its saved tensors.
    """
    if _is_added(node, edge):
        return 1.0
    factor = _factor(node, edge)
    with torch.no_grad():
        return None if factor is None else float(_sizes(factor).amax())


def _least_factor_of(node: Any, edge: int) -> float | None:
    """The smallest magnitude of the same; a factor without any zero in it is not what makes a gradient zero."""
    if _is_added(node, edge):
        return 1.0
    factor = _factor(node, edge)
    with torch.no_grad():
        return None if factor is None else float(_sizes(factor).amin())


def _sizes(factor: torch.Tensor) -> torch.Tensor:
    """Magnitudes; of a mask of truth values its ones and zeros, for which torch has no ``abs``."""
    dense = factor.detach()
    return dense if dense.dtype == torch.bool else dense.abs()


def _is_added(node: Any, edge: int) -> bool:
    return edge in _ADDED.get(kind_of(node), ())


def _factor(node: Any, edge: int) -> torch.Tensor | None:
    attribute = _FACTORS.get(kind_of(node), {}).get(edge)
    factor = _saved(node, attribute) if attribute is not None else None
    return factor if factor is not None and factor.numel() else None


def _saved(node: Any, attribute: str) -> torch.Tensor | None:
    try:
        saved = getattr(node, f"_saved_{attribute}", None)
    except RuntimeError:
        # changed in place since, or freed: torch does not hand it out
        return None
    return saved if isinstance(saved, torch.Tensor) else None
