"""Torch's operations by name: which leave torch, which copy, which only read a shape."""

from __future__ import annotations

__all__ = [
    "ALIASING",
    "BLANK",
    "CHANGED_THROUGH_VIEW",
    "DECISIONS",
    "DETACHING",
    "EXITS",
    "EXPOSING",
    "FROM_ARRAYS",
    "GETTERS_RECORDED",
    "IGNORED",
    "IMPORTS",
    "INPLACE_CAPABLE",
    "REPLACING",
    "REWRAPPING",
    "SELECTING",
    "SHAPE_ONLY",
    "SWITCHES",
    "TELLING",
    "TO_ARRAYS",
    "VALUE_EXITS",
    "is_inplace_name",
]

DETACHING = frozenset({"detach", "detach_", "data"})
"""Return the same values without their history."""

REWRAPPING = frozenset({"tensor", "new_tensor", "Parameter", "Variable", "Tensor", "data=", "_make_subclass"})
"""Copy values into a new leaf."""

SWITCHES = frozenset({"requires_grad_", "requires_grad="})
"""Say whether a tensor requires grad."""

EXITS = frozenset({
    "item", "tolist", "numpy", "__array__", "__float__", "__int__", "__bool__", "__index__", "__complex__",
    "is_nonzero", "__dlpack__", "to_dlpack", "equal", "allclose", "__contains__", "_local_scalar_dense",
})  # fmt: skip
"""Turn values into something that is not a tensor: from here on torch cannot follow them."""

DECISIONS = frozenset({"__bool__", "is_nonzero"})
"""Turn a value into a Python condition."""

TO_ARRAYS = frozenset({"numpy", "__array__"})
"""Those of them that give a NumPy array."""

EXPOSING = TO_ARRAYS | {
    "__dlpack__", "to_dlpack", "from_dlpack", "untyped_storage", "storage", "typed_storage", "_typed_storage",
}  # fmt: skip
"""Hand out a tensor's memory, into which may then be written where torch does not see it."""

TELLING = frozenset({"__repr__", "__str__", "__format__"})
"""Write a tensor's values down as text, from which they can be read again."""

VALUE_EXITS = TO_ARRAYS | {"item", "tolist", "__float__", "__complex__", "_local_scalar_dense"}
"""Those that give the values themselves, not a decision about them and not an index."""

SELECTING = frozenset({"__getitem__", "select", "narrow", "index_select", "gather", "take", "take_along_dim"})
"""Give a part of their first argument; whatever else they are given says which part."""

SHAPE_ONLY: dict[str, frozenset[int]] = {
    # the positions of the arguments whose *values* matter; the others give a shape, a dtype or a device
    **dict.fromkeys(
        (
            "zeros_like", "ones_like", "empty_like", "rand_like", "randn_like", "randint_like", "new_zeros",
            "new_ones", "new_empty", "new_empty_strided", "numel", "zero_", "zeros", "ones", "empty", "size",
        ),
        frozenset[int](),
    ),
    "full_like": frozenset({1}),
    "new_full": frozenset({2}),
    "full": frozenset({1}),
    "fill_": frozenset({1}),
    **dict.fromkeys(("expand_as", "view_as", "reshape_as", "type_as", "to", "broadcast_to"), frozenset({0})),
}  # fmt: skip

ALIASING = frozenset({
    "detach", "data", "alias", "as_tensor", "Parameter", "Variable", "from_numpy", "numpy", "as_subclass",
    "from_dlpack", "_make_subclass",
})  # fmt: skip
"""Their result may share memory with their first argument although autograd does not call it a view."""

BLANK = frozenset({"empty", "empty_like", "empty_strided", "empty_permuted", "new_empty", "new_empty_strided"})
"""Give memory and put nothing into it."""

CHANGED_THROUGH_VIEW = "(changed through a view)"
"""Stands for what an operation on another tensor did to this one, because both share memory."""

REPLACING = frozenset({
    "__setitem__", "where", "masked_fill", "masked_fill_", "masked_scatter", "masked_scatter_", "copy_", "fill_",
    "zero_", "index_put", "index_put_", "index_fill", "index_fill_", "scatter", "scatter_", CHANGED_THROUGH_VIEW,
    "triu", "triu_", "tril", "tril_",
})  # fmt: skip
"""Put values in the place of others, at some of the positions or at all."""

FROM_ARRAYS = frozenset({"from_numpy", "frombuffer", "from_dlpack", "__array_wrap__"})
"""Make a tensor of an array; ``__array_wrap__`` is how NumPy hands back what it computed from a tensor."""

IMPORTS = frozenset({"tensor", "as_tensor", "asarray", "new_tensor"})
"""Take values from outside torch (arrays, lists) as well as from tensors."""

INPLACE_CAPABLE = frozenset({
    "relu", "relu6", "hardtanh", "elu", "selu", "celu", "leaky_relu", "rrelu", "hardswish", "hardsigmoid", "silu",
    "mish", "threshold", "dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout",
    "normalize", "feature_dropout",
})  # fmt: skip
"""Functions that change their input when they are told ``inplace=True``."""

GETTERS_RECORDED = frozenset({"data", "T", "mT", "H", "mH", "real", "imag"})
"""Properties of a tensor that give a tensor of the same values."""

IGNORED = frozenset({
    "size", "dim", "stride", "is_floating_point", "is_complex", "is_contiguous", "storage_offset", "data_ptr",
    "__len__", "untyped_storage", "element_size", "get_device", "__hash__", "__repr__", "__str__", "__format__",
    "ndimension", "nelement", "numel", "register_hook", "retain_grad", "_is_view", "is_same_size", "has_names",
    "is_signed", "is_inference", "storage", "typed_storage", "is_pinned", "is_shared", "is_conj", "is_neg",
    "is_tensor", "result_type", "_typed_storage", "is_set_to", "dense_dim", "sparse_dim", "is_coalesced",
    "__dir__", "__setstate__", "__reduce_ex__", "is_distributed", "register_post_accumulate_grad_hook",
    "_has_symbolic_sizes_strides", "manual_seed", "is_cuda", "can_cast", "promote_types", "get_default_dtype",
    "is_storage", "__dlpack_device__", "grad_fn", "backward", "_backward_hooks", "has_torch_function",
    "is_grad_enabled", "finfo", "iinfo", "_nested_tensor_size", "set_default_dtype",
})  # fmt: skip
"""Read facts about a tensor, not its values."""


def is_inplace_name(name: str) -> bool:
    """Whether a name says that the operation changes its first argument: ``add_``, ``__iadd__``, ``__setitem__``."""
    if name in ("__setitem__", "data="):
        return True
    if name.startswith("__i") and name.endswith("__"):
        return name not in ("__int__", "__invert__", "__index__", "__iter__", "__init__")
    return name.endswith("_") and not name.endswith("__")
