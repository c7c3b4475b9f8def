"""What an operation does to a branch: joins it, weighs it, gates it, or passes it on; told from its name alone.

Names are compared without the marks that torch puts on spellings of the same operation: ``__iadd__``, ``add_``,
``__radd__`` and ``aten::add.Tensor`` are all ``add``. An unknown name counts as weighted: a custom kernel is more
likely a layer than a reshape.
"""

from __future__ import annotations

import functools

__all__ = [
    "is_activation",
    "is_attention",
    "is_gate",
    "is_identity",
    "is_splitting",
    "is_upsampling",
    "is_weight_free",
    "is_weighted",
    "join_family",
    "plain_name",
    "reads_shape_only",
]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_QUALIFIERS = _words(
    "Tensor Scalar Tensor_Scalar Scalar_Tensor default out int dim int_mode torch nn functional aten "
    "prims quantized __get__ __set__ builtins operator"
)
_INFIX = ("add", "sub", "mul", "truediv", "matmul", "pow", "div", "floordiv", "and", "or", "xor", "mod")
_SPELLINGS = {mark + name: name for name in _INFIX for mark in ("i", "r")} | {
    "subtract": "sub", "multiply": "mul", "concat": "cat", "concatenate": "cat", "truediv": "div", "divide": "div",
    "absolute": "abs", "negative": "neg", "hardswish": "hard_swish", "swish": "silu",
}  # fmt: skip

_ADD = frozenset({"add", "sub"})
_CONCATENATE = _words("cat stack hstack vstack dstack column_stack row_stack")
_MULTIPLY = frozenset({"mul"})
_MATRIX_PRODUCT = _words("matmul mm bmm baddbmm addbmm addmm einsum tensordot inner mv dot bilinear")

_GATES = _words("sigmoid hardsigmoid hard_sigmoid softmax log_sigmoid logsigmoid tanh hardtanh softplus")
# a multiplication by one of these is gated too (SwiGLU, GEGLU), although they are not confined to [0, 1]
_SELF_GATES = _words("silu gelu hard_swish relu6")
_ACTIVATIONS = (
    _GATES
    | _SELF_GATES
    | _words("relu mish leaky_relu elu selu celu prelu rrelu softsign threshold glu tanhshrink hardshrink softshrink")
)
_VALUE_KEPT = _words(
    "detach data clone alias contiguous to type float half double bfloat16 requires_grad identity dropout "
    "dropout1d dropout2d dropout3d alpha_dropout feature_alpha_dropout feature_dropout drop_path "
    "stochastic_depth view view_as reshape reshape_as flatten unflatten permute transpose t T mT H mH "
    "swapaxes swapdims movedim moveaxis squeeze unsqueeze ravel cpu cuda numpy from_numpy as_tensor "
    "as_strided real positive pos lift_fresh copy refine_names rename align_to"
)
_SPLITTING = _words("chunk split split_with_sizes unbind tensor_split hsplit vsplit dsplit unsafe_chunk")
_UPSAMPLING = _words(
    "interpolate upsample upsample_nearest upsample_bilinear conv_transpose1d conv_transpose2d "
    "conv_transpose3d pixel_shuffle max_unpool1d max_unpool2d max_unpool3d fold grid_sample"
)
_POOLING = _words(
    "max_pool1d max_pool2d max_pool3d avg_pool1d avg_pool2d avg_pool3d adaptive_avg_pool1d "
    "adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d "
    "lp_pool1d lp_pool2d max_pool1d_with_indices max_pool2d_with_indices max_pool3d_with_indices "
    "pixel_unshuffle unfold fft fft2 fftn rfft rfft2 rfftn ifft ifft2 ifftn irfft irfft2 irfftn"
)
_SHAPE_ONLY = _words(
    "zeros_like ones_like full_like empty_like rand_like randn_like randint_like new_zeros new_ones "
    "new_full new_empty new_tensor new_empty_strided"
)
_LIGHT = (
    _ADD
    | _CONCATENATE
    | _MULTIPLY
    | _ACTIVATIONS
    | _VALUE_KEPT
    | _SPLITTING
    | _SHAPE_ONLY
    | _words(
        "getitem setitem select narrow slice index_select gather scatter scatter_add index take "
        "take_along_dim masked_select masked_fill masked_scatter where pad flip roll rot90 expand expand_as "
        "broadcast_to repeat repeat_interleave tile diag diagonal tril triu sort topk argsort kthvalue unique "
        "div pow sqrt rsqrt square exp exp2 expm1 log log2 log10 log1p abs neg reciprocal sign sgn sin cos "
        "tan asin acos atan atan2 sinh cosh erf erfc erfinv floor ceil round trunc frac fmod remainder "
        "floordiv mod clamp clamp_min clamp_max clip maximum minimum fmax fmin lerp addcmul addcdiv "
        "nan_to_num logaddexp hypot sum mean amax amin max min aminmax prod std var std_mean var_mean norm "
        "vector_norm matrix_norm logsumexp cumsum cumprod cummax median mode nanmean nansum count_nonzero all "
        "any argmax argmin cosine_similarity pairwise_distance cdist softmin log_softmax gumbel_softmax "
        "normalize batch_norm layer_norm group_norm instance_norm rms_norm local_response_norm "
        "native_batch_norm native_layer_norm native_group_norm cross_entropy nll_loss mse_loss l1_loss "
        "smooth_l1_loss huber_loss binary_cross_entropy kl_div binary_cross_entropy_with_logits bernoulli "
        "tensor item tolist int long bool byte eq ne lt le gt ge logical_and logical_or logical_not isnan "
        "isinf isfinite and or xor one_hot bucketize histc"
    )
)


@functools.cache
def plain_name(name: str) -> str:
    """The name without the marks of its spelling: ``__iadd__`` and ``aten::add_.Tensor`` are ``add``."""
    parts = [part for part in name.replace("::", ".").split(".") if part and part not in _QUALIFIERS]
    plain = (parts[-1] if parts else name).strip("_") or name
    return _SPELLINGS.get(plain, plain)


@functools.cache
def join_family(name: str) -> str:
    """How it brings values together: ``add``, ``cat``, ``mul``, ``attention`` (matrix products) or ``other``."""
    plain = plain_name(name)
    if plain in _ADD:
        return "add"
    if plain in _CONCATENATE:
        return "cat"
    if plain in _MULTIPLY:
        return "mul"
    if plain in _MATRIX_PRODUCT or is_attention(name):
        return "attention"
    return "other"


@functools.cache
def is_attention(name: str) -> bool:
    """Whether one operation is a whole attention, such as ``scaled_dot_product_attention``."""
    plain = plain_name(name).lower()
    return "attention" in plain or "flash_attn" in plain


@functools.cache
def is_identity(name: str) -> bool:
    """Whether the values pass unchanged: shape, layout, dtype and dropout operations."""
    return plain_name(name) in _VALUE_KEPT


@functools.cache
def is_weight_free(name: str) -> bool:
    """Whether it is known to be cheap glue: element-wise, shape, reduction, normalisation; not pooling."""
    return plain_name(name) in _LIGHT


@functools.cache
def is_weighted(name: str) -> bool:
    """Whether the operation applies weights, or is unknown."""
    plain = plain_name(name)
    return plain not in _LIGHT and plain not in _POOLING and (plain not in _UPSAMPLING or plain.startswith("conv"))


@functools.cache
def is_activation(name: str) -> bool:
    """Whether the operation is an element-wise nonlinearity of networks."""
    return plain_name(name) in _ACTIVATIONS


@functools.cache
def is_gate(name: str) -> bool:
    """Whether a factor that comes out of this operation gates the other factor."""
    return plain_name(name) in _GATES or plain_name(name) in _SELF_GATES


@functools.cache
def is_splitting(name: str) -> bool:
    """Whether one operation gives several values, so that two edges from it do not carry the same one."""
    return plain_name(name) in _SPLITTING


@functools.cache
def is_upsampling(name: str) -> bool:
    """Whether the operation makes a map larger, as in the decoder of a U-Net."""
    return plain_name(name) in _UPSAMPLING


@functools.cache
def reads_shape_only(name: str) -> bool:
    """Whether the result takes shape and dtype of the argument, but none of its values."""
    return plain_name(name) in _SHAPE_ONLY
