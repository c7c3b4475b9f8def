"""What computes new numbers: arithmetic, functions of each entry, layers, reductions, losses."""

from __future__ import annotations

__all__ = ["ROWS"]

ROWS = """
# sums, products and quotients
add                     sums pointwise
sub                     sums pointwise
mul                     product multiplies pointwise
div                     divides pointwise
floor_divide            no-formula pointwise
remainder               pointwise
fmod                    pointwise
neg                     negates pointwise
pow                     scales pointwise display
float_power             scales pointwise
square                  scales pointwise display
addcmul                 multiplies pointwise
addcdiv                 pointwise
lerp                    multiplies pointwise
rsqrt                   pointwise
sqrt                    pointwise display
reciprocal              pointwise
hypot                   pointwise
xlogy                   pointwise

# products of matrices
matmul                  matrix-product multiplies weighs
mm                      matrix-product multiplies weighs
bmm                     matrix-product multiplies weighs
mv                      matrix-product multiplies weighs
dot                     matrix-product multiplies weighs
vdot                    matrix-product multiplies weighs
inner                   matrix-product multiplies weighs
outer                   matrix-product multiplies weighs
einsum                  matrix-product multiplies weighs
tensordot               matrix-product multiplies weighs
linalg_multi_dot        matrix-product multiplies weighs
linalg_vecdot           matrix-product multiplies weighs
chain_matmul            matrix-product multiplies weighs
addmm                   matrix-product multiplies weighs adds-at:0
addmv                   matrix-product multiplies weighs adds-at:0
addbmm                  matrix-product multiplies weighs adds-at:0
baddbmm                 matrix-product multiplies weighs adds-at:0
scaled_dot_product_attention  attention multiplies weighs chance
multi_head_attention_forward  attention multiplies weighs chance

# layers
linear                  multiplies weighs adds-at:2
bilinear                matrix-product multiplies weighs adds-at:3
conv1d                  multiplies weighs adds-at:2 signal
conv2d                  multiplies weighs adds-at:2
conv3d                  multiplies weighs adds-at:2
conv_transpose1d        multiplies weighs adds-at:2 upsamples signal
conv_transpose2d        multiplies weighs adds-at:2 upsamples
conv_transpose3d        multiplies weighs adds-at:2 upsamples
embedding               weighs
embedding_bag           weighs
batch_norm              normalises adds-at:4 signal
instance_norm           normalises adds-at:4 signal
layer_norm              normalises adds-at:3
group_norm              normalises adds-at:3 signal
rms_norm                normalises
native_batch_norm       normalises adds-at:2 signal
native_layer_norm       normalises adds-at:3
native_group_norm       normalises adds-at:2 signal
normalize               normalises display
local_response_norm     signal
dropout                 drops chance multiplies inplace itself
dropout1d               drops chance multiplies inplace itself
dropout2d               drops chance multiplies inplace itself
dropout3d               drops chance multiplies inplace itself
feature_dropout         drops chance multiplies itself
alpha_dropout           drops chance multiplies inplace itself
feature_alpha_dropout   drops chance multiplies inplace itself
native_dropout          drops chance multiplies
drop_path               drops
stochastic_depth        drops

# functions of each entry
sigmoid                 activation gate saturates pointwise display
hardsigmoid             activation gate saturates rectifies pointwise inplace
log_sigmoid             activation gate saturates pointwise
tanh                    activation gate saturates pointwise
hardtanh                activation gate saturates clips pointwise inplace
softplus                activation gate saturates pointwise
silu                    activation self-gate saturates pointwise inplace
gelu                    activation self-gate saturates pointwise
hardswish               activation self-gate saturates rectifies pointwise inplace
relu6                   activation self-gate saturates rectifies pointwise inplace display
relu                    activation saturates rectifies pointwise inplace display
threshold               activation saturates rectifies pointwise inplace
mish                    activation saturates pointwise inplace
leaky_relu              activation pointwise inplace
elu                     activation saturates pointwise inplace
selu                    activation saturates pointwise inplace
celu                    activation saturates pointwise inplace
prelu                   activation saturates
rrelu                   activation pointwise chance inplace
softsign                activation pointwise
tanhshrink              activation pointwise
hardshrink              activation saturates clips pointwise
softshrink              activation saturates clips pointwise
glu                     activation saturates
clamp                   saturates clips pointwise display
clamp_min               saturates clips pointwise display
clamp_max               saturates clips pointwise display
maximum                 saturates pointwise display
minimum                 saturates pointwise
fmax                    saturates pointwise
fmin                    saturates pointwise
nan_to_num              saturates pointwise
abs                     pointwise display
exp                     saturates pointwise
exp2                    saturates pointwise
expm1                   saturates pointwise
log                     pointwise
log2                    pointwise
log10                   pointwise
log1p                   pointwise
logaddexp               saturates pointwise
sin                     pointwise
cos                     pointwise
tan                     pointwise
asin                    pointwise
acos                    pointwise
atan                    pointwise
atan2                   pointwise
sinh                    pointwise
cosh                    pointwise
erf                     saturates pointwise
erfc                    saturates pointwise
erfinv                  pointwise
frac                    pointwise

# staircases
round                   flat pointwise
floor                   flat pointwise
ceil                    flat pointwise
trunc                   flat pointwise
sign                    flat pointwise
sgn                     flat pointwise

# over one dimension
softmax                 activation gate normalises shares saturates scales display
log_softmax             normalises saturates
softmin                 normalises shares saturates
gumbel_softmax          normalises shares chance
cumsum
cumprod                 multiplies
cummax                  also-indices
cummin                  also-indices

# reductions
sum                     reduces of-nothing
nansum                  reduces of-nothing
mean                    reduces scales
nanmean                 reduces
prod                    reduces multiplies of-nothing
norm                    reduces of-nothing
linalg_norm             reduces of-nothing
linalg_vector_norm      reduces of-nothing
linalg_matrix_norm      reduces of-nothing
std                     reduces
var                     reduces
std_mean                reduces
var_mean                reduces
logsumexp               reduces extreme
max                     reduces extreme picks also-indices
min                     reduces extreme picks also-indices
amax                    reduces extreme picks
amin                    reduces extreme picks
aminmax                 reduces extreme picks
median                  reduces picks also-indices
nanmedian               reduces picks also-indices
mode                    picks also-indices
kthvalue                picks also-indices
topk                    picks also-indices
sort                    moves also-indices

# pooling, and what makes maps larger
max_pool1d              pools picks signal
max_pool2d              pools picks
max_pool3d              pools picks
max_pool1d_with_indices  pools picks also-indices signal
max_pool2d_with_indices  pools picks also-indices
max_pool3d_with_indices  pools picks also-indices
adaptive_max_pool1d     pools picks signal
adaptive_max_pool2d     pools picks
adaptive_max_pool3d     pools picks
adaptive_max_pool1d_with_indices  pools picks also-indices signal
adaptive_max_pool2d_with_indices  pools picks also-indices
adaptive_max_pool3d_with_indices  pools picks also-indices
avg_pool1d              pools signal
avg_pool2d              pools
avg_pool3d              pools
adaptive_avg_pool1d     pools signal
adaptive_avg_pool2d     pools
adaptive_avg_pool3d     pools
lp_pool1d               pools signal
lp_pool2d               pools
lp_pool3d               pools
interpolate             upsamples display
upsample                upsamples
upsample_nearest        upsamples
upsample_bilinear       upsamples
max_unpool1d            upsamples
max_unpool2d            upsamples
max_unpool3d            upsamples
fold                    upsamples
grid_sample             upsamples saturates

# Fourier transforms
fft_fft                 pools
fft_fft2                pools
fft_fftn                pools
fft_rfft                pools
fft_rfft2               pools
fft_rfftn               pools
fft_ifft                pools
fft_ifft2               pools
fft_ifftn               pools
fft_irfft               pools
fft_irfft2              pools
fft_irfftn              pools

# distances and losses
cosine_similarity
pairwise_distance
cdist
cross_entropy           saturates
nll_loss
mse_loss                scales
l1_loss
smooth_l1_loss
huber_loss
binary_cross_entropy
binary_cross_entropy_with_logits
kl_div
hinge_embedding_loss    saturates
"""
