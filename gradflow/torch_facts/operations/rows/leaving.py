"""What gives something other than numbers with a slope: Python values, arrays, truths, positions, counts, facts."""

from __future__ import annotations

__all__ = ["ROWS"]

ROWS = """
# Python values and arrays
item                    leaves number
tolist                  leaves number list
_local_scalar_dense     leaves number
__float__               leaves number
__complex__             leaves number
__int__                 leaves whole-number
__index__               leaves whole-number
__bool__                leaves decision
is_nonzero              leaves decision
equal                   leaves answer equates
allclose                leaves answer equates
__contains__            leaves answer
numpy                   same leaves array list aliases exposes
__array__               same leaves array list aliases exposes
__dlpack__              leaves capsule exposes
to_dlpack               leaves capsule exposes
untyped_storage         facts exposes
storage                 facts exposes
typed_storage           facts exposes
_typed_storage          facts exposes
__repr__                facts tells
__str__                 facts tells
__format__              facts tells

# truths
gt                      compares
lt                      compares
ge                      compares
le                      compares
eq                      compares equates
ne                      compares
isclose                 compares equates
logical_and             compares
logical_or              compares
logical_xor             compares
logical_not             compares
bitwise_and             judges
bitwise_or              judges
bitwise_xor             judges
bitwise_not             judges
bitwise_left_shift      judges
bitwise_right_shift     judges
isnan                   judges
isinf                   judges
isfinite                judges
isin                    judges
signbit                 judges
all                     judges reduces of-nothing
any                     judges reduces of-nothing

# positions
argmax                  chooses
argmin                  chooses
argsort                 chooses
one_hot                 chooses
nonzero                 chooses
argwhere                chooses
searchsorted            chooses
unique                  no-formula

# counts
histc                   counts
bincount                counts
histogram               counts
histogramdd             counts
bucketize               counts
count_nonzero           counts reduces of-nothing

# whole numbers
long                    whole itself
int                     whole itself
short                   whole itself
char                    whole itself
byte                    whole itself
bool                    whole itself

# facts about a tensor, none of its values
shape                   facts
dtype                   facts
device                  facts
layout                  facts
ndim                    facts
is_leaf                 facts
itemsize                facts
nbytes                  facts
size                    facts reads:none
numel                   facts reads:none
dim                     facts
stride                  facts
is_floating_point       facts
is_complex              facts
is_contiguous           facts
storage_offset          facts
data_ptr                facts
__len__                 facts
element_size            facts
get_device              facts
__hash__                facts
ndimension              facts
nelement                facts
register_hook           facts
_is_view                facts
is_same_size            facts
has_names               facts
is_signed               facts
is_inference            facts
is_pinned               facts
is_shared               facts
is_conj                 facts
is_neg                  facts
is_tensor               facts
result_type             facts
is_set_to               facts
dense_dim               facts
sparse_dim              facts
is_coalesced            facts
__dir__                 facts
__setstate__            facts
__reduce_ex__           facts
is_distributed          facts
register_post_accumulate_grad_hook  facts
_has_symbolic_sizes_strides  facts
manual_seed             facts
is_cuda                 facts
can_cast                facts
promote_types           facts
get_default_dtype       facts
is_storage              facts
__dlpack_device__       facts
grad_fn                 facts
backward                facts
_backward_hooks         facts
has_torch_function      facts
is_grad_enabled         facts
finfo                   facts
iinfo                   facts
_nested_tensor_size     facts
set_default_dtype       facts
"""
