"""What is known of the nodes of autograd by what torch calls them: whole lists of them stand here, and nowhere else.

By their kind, of which ``node_kind.kind_of`` gives none for the node of a custom Function, whatever its class is
called. Nothing here needs torch.
"""

from __future__ import annotations

from typing import Any, Final

__all__ = [
    "ADDED",
    "ENTRY_BY_ENTRY",
    "FACTORS",
    "NEAREST",
    "OPERANDS",
    "REARRANGING",
    "RECTIFIERS",
    "REENTRANT_CHECKPOINT",
    "SPREADS",
    "forward_class",
    "has_no_formula",
    "is_accumulation",
    "is_embedding",
    "is_grid_sampler",
    "is_loss_over_classes",
    "is_softmax",
    "packed",
    "saved",
    "saved_names",
    "saved_tensors",
    "shape_of_result",
    "signed",
]

FACTORS: Final[dict[str, dict[int, str]]] = {
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
"""For each input of the forward, the saved tensor that its gradient is multiplied with."""

OPERANDS: Final[dict[str, dict[int, int]]] = {
    "Mul": {0: 1, 1: 0},
    "Div": {1: 0},
    "Mm": {0: 1, 1: 0},
    "Bmm": {0: 1, 1: 0},
    "Addmm": {1: 1, 2: 0},
    "Convolution": {0: 1, 1: 0},
}
"""For each input of the forward, which argument of the operation is its factor: of ``linear`` and convolutions too."""

ADDED: Final[dict[str, frozenset[int]]] = {
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

ENTRY_BY_ENTRY: Final = frozenset({
    "Mul", "Div", "Neg", "Mean", "Sum", "Pow", "Exp", "Log", "Sqrt", "Rsqrt", "Reciprocal", "Sigmoid", "Tanh", "ToCopy",
    "MseLoss", "SmoothL1Loss", "BinaryCrossEntropy", "BinaryCrossEntropyWithLogits", "Abs", "Gelu", "Silu",
})  # fmt: skip
"""Every entry of the gradient is scaled by itself: what is small afterwards is small, and no rounding error."""

REARRANGING: Final = frozenset({
    "T", "View", "UnsafeView", "ReshapeAlias", "Transpose", "Permute", "Unsqueeze", "Alias",
})  # fmt: skip
"""Hand on every entry that they get, and nothing else: there is nothing to measure."""

SPREADS: Final = frozenset({"Std", "Var", "StdMean", "VarMean"})
"""Standard deviations and variances; each keeps ``self`` and ``dim``."""

RECTIFIERS: Final = frozenset({"ReluBackward0", "ThresholdBackward0"})
"""Names, not kinds: that of a custom Function ends with ``Backward``, whatever its class is called."""

REENTRANT_CHECKPOINT: Final = "CheckpointFunctionBackward"

NEAREST: Final = 1
"""The mode of a grid sampler that takes the nearest entry."""

_UNSIGNED = 2**64


_SAVED = "_saved_"
_RAW = "_raw_saved_"


def saved_names(node: Any) -> tuple[str, ...]:
    """Under which names a node, or all of its class, keeps what its backward needs: those of arguments and results."""
    return tuple(name.removeprefix(_SAVED) for name in dir(node) if name.startswith(_SAVED))


def saved(node: Any, name: str, otherwise: Any = None) -> Any:
    """What a node keeps under a name; raises ``RuntimeError`` where that was freed, or changed in place since."""
    return getattr(node, f"{_SAVED}{name}", otherwise)


def saved_tensors(node: Any) -> tuple[str, ...]:
    """Under which of these names it keeps tensors, which may have been packed by hooks."""
    return tuple(name.removeprefix(_RAW) for name in dir(node) if name.startswith(_RAW))


def packed(node: Any, name: str) -> Any:
    """What it keeps of such a tensor, as it lies there; of a list of tensors a tuple."""
    return getattr(node, f"{_RAW}{name}")


def forward_class(node: Any) -> Any:
    """The class of a custom Function that a node belongs to; ``None`` for any other node."""
    return getattr(node, "_forward_cls", None)


def shape_of_result(node: Any) -> tuple[int, ...] | None:
    """The shape of the first gradient that a node is given, which is that of what its forward gave."""
    metadata = getattr(node, "_input_metadata", None)
    return tuple(metadata[0].shape) if metadata else None


def signed(number: Any) -> int:
    """A saved number, of which torch hands out negative ones as unsigned ones."""
    return (int(number) + _UNSIGNED // 2) % _UNSIGNED - _UNSIGNED // 2


def is_accumulation(node: Any) -> bool:
    """Whether a node puts what it gets into the ``.grad`` of a leaf."""
    name: str = node.name()
    return name.endswith("AccumulateGrad")


def has_no_formula(node: Any) -> bool:
    """Whether a node stands in for a derivative that torch does not have, and raises when it is its turn."""
    name: str = node.name()
    return name.endswith("NotImplemented")


def is_softmax(kind: str) -> bool:
    """Of any kind; it keeps ``result`` and ``dim``."""
    return kind.startswith(("Softmax", "LogSoftmax"))


def is_loss_over_classes(kind: str) -> bool:
    """It keeps ``target`` and ``ignore_index``."""
    return kind.startswith("NllLoss")


def is_embedding(kind: str) -> bool:
    """It keeps ``indices`` and ``padding_idx``."""
    return kind.startswith("Embedding")


def is_grid_sampler(kind: str) -> bool:
    """It keeps ``interpolation_mode``."""
    return kind.startswith("GridSampler")
