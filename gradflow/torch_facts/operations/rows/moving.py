"""What hands entries on as they are: views, copies, casts, parts, and what puts values beside or in place of others."""

from __future__ import annotations

__all__ = ["ROWS"]

ROWS = """
# the same entries at the same places
clone                   same
contiguous              same itself
alias                   same view
positive                same itself
lift_fresh              same itself
to                      same itself casts reads:0
type                    same itself casts
type_as                 same itself casts reads:0
float                   same itself to-real
double                  same itself to-real
half                    same itself to-real
bfloat16                same itself to-real
cfloat                  same itself to-complex
cdouble                 same itself to-complex
chalf                   same itself to-complex
cpu                     same itself
cuda                    same itself
resolve_conj            same itself
resolve_neg             same itself
dequantize              same itself
detach                  same detaches aliases writes-nothing
data                    same detaches aliases getter
as_subclass             same view
requires_grad           same switches writes-nothing
requires_grad=          switches
retain_grad             facts writes-nothing
share_memory            same writes-nothing
expand_as               repeats view reads:0

# every entry, in its order, in another shape
view                    reshapes view
view_as                 reshapes view reads:0
reshape                 reshapes view
reshape_as              reshapes view reads:0
flatten                 reshapes view itself
unflatten               reshapes view
squeeze                 reshapes view
unsqueeze               reshapes view
ravel                   reshapes view
atleast_1d              reshapes view itself
atleast_2d              reshapes view itself
atleast_3d              reshapes view itself

# every entry, in another order of the axes
transpose               permutes view
permute                 permutes view
t                       permutes view
T                       permutes view getter
mT                      permutes view getter
H                       permutes view getter
mH                      permutes view getter
adjoint                 permutes view
movedim                 permutes view

# every entry, at another place
flip                    moves
fliplr                  moves
flipud                  moves
roll                    moves
rot90                   moves
pixel_shuffle           moves upsamples
pixel_unshuffle         moves pools
channel_shuffle         moves

# every entry, several times
expand                  repeats view
broadcast_to            repeats view reads:0
broadcast_tensors       repeats view
repeat                  repeats
repeat_interleave       repeats
tile                    repeats

# some of the positions
__getitem__             selects view
select                  selects view
narrow                  selects view
slice                   selects view
diagonal                selects view
real                    same view itself getter
imag                    view getter
index                   selects
index_select            selects
gather                  selects
take                    selects
take_along_dim          selects
masked_select           selects
as_strided              selects view
unfold                  selects view pools
chunk                   selects splits view
split                   selects splits view
split_with_sizes        selects splits view
tensor_split            selects splits view
hsplit                  selects splits view
vsplit                  selects splits view
dsplit                  selects splits view
unbind                  selects splits view
unsafe_chunk            selects splits aliases
unsafe_split            selects splits aliases

# beside others
cat                     cats places
stack                   cats places
hstack                  cats places
vstack                  cats places
dstack                  cats places
column_stack            cats places
pad                     places
constant_pad_nd         places
diag                    places selects
diag_embed              places

# in the place of others
__setitem__             replaces
data=                   rewraps
(changed through a view)  replaces view
copy                    replaces
where                   replaces
masked_fill             replaces
masked_scatter          replaces
index_put               replaces
index_fill              replaces
index_copy              replaces
scatter                 replaces
select_scatter          replaces
slice_scatter           replaces
diagonal_scatter        replaces
fill                    replaces reads:1
zero                    replaces reads:none
tril                    replaces
triu                    replaces
scatter_add
index_add
scatter_reduce
put                     replaces
"""
