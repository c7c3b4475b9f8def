"""What makes tensors of nothing, of chance, and of what comes from outside torch."""

from __future__ import annotations

__all__ = ["ROWS"]

ROWS = """
# of a shape alone
zeros                   makes zeros reads:none
ones                    makes reads:none
empty                   makes blank reads:none
full                    makes reads:1
arange                  makes
linspace                makes
eye                     makes reads:none
zeros_like              makes zeros reads:none
ones_like               makes reads:none
empty_like              makes blank reads:none
full_like               makes reads:1
empty_strided           makes blank reads:none
empty_permuted          makes blank reads:none
new_zeros               makes zeros reads:none
new_ones                makes reads:none
new_empty               makes blank reads:none
new_empty_strided       makes blank reads:none
new_full                makes reads:2

# at random
rand                    makes draws reads:none
randn                   makes draws reads:none
randint                 makes draws draws-whole reads:none
randperm                makes draws draws-whole reads:none
rand_like               makes draws reads:none
randn_like              makes draws reads:none
randint_like            makes draws draws-whole reads:none
uniform                 draws flat
random                  draws draws-whole flat
cauchy                  draws flat
exponential             draws flat
geometric               draws draws-whole flat
log_normal              draws flat
normal                  draws flat
bernoulli               draws draws-whole flat
poisson                 draws draws-whole flat
binomial                draws draws-whole flat
multinomial             draws draws-whole chooses
_standard_gamma         draws by-rejection
_sample_dirichlet       draws by-rejection
_Dirichlet.apply        draws by-rejection

# from outside, and of other tensors' numbers
tensor                  same imports rewraps
as_tensor               same imports aliases itself
asarray                 same imports aliases itself
new_tensor              imports rewraps
Tensor                  imports rewraps
Parameter               same rewraps aliases
Variable                same rewraps aliases
_make_subclass          same rewraps aliases
from_numpy              same from-arrays aliases
frombuffer              from-arrays
from_dlpack             same from-arrays aliases exposes
__array_wrap__          from-arrays
"""
