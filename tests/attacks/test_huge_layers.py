"""Models of ready-made layers whose few numbers ask for more memory or time than any machine has."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tests.attacks.commands import assert_one_error

MEMORY = 640 * 1024**2
SECONDS = 10
HUGE = {
    "upsampling by size": lambda: nn.Upsample(size=2**35),
    "upsampling by factor": lambda: nn.Upsample(scale_factor=1e10),
    "adaptive pooling": lambda: nn.AdaptiveAvgPool1d(2**35),
    "adaptive pooling of one number": lambda: nn.AdaptiveMaxPool1d(2**33),
    "zero padding": lambda: nn.ZeroPad1d(2**35),
    "reflection padding": lambda: nn.ReflectionPad1d(2**35),
    "circular padding": lambda: nn.CircularPad1d(2**35),
    "padding of a convolution": lambda: nn.Conv1d(1, 1, 1, padding=2**35),
    "padding of pooling": lambda: nn.AvgPool1d(2**34, stride=1, padding=2**33),
    "stride of a transposed convolution": lambda: nn.ConvTranspose1d(1, 1, 1, stride=2**35),
    "dilation of a convolution": lambda: nn.Conv1d(1, 1, 2, dilation=2**35, padding=2**35),
    "folding": lambda: nn.Unfold((1, 1), padding=2**17),
    "normalisation over a window": lambda: nn.LocalResponseNorm(2**33),
    "shuffled pixels": lambda: nn.PixelShuffle(2**31),
    "unflattened": lambda: nn.Unflatten(2, (2**40, 2**40)),
    "a power": lambda: nn.LPPool1d(2.0, 2**33, ceil_mode=True),
    "channels that repeat": lambda: nn.Sequential(*[nn.Upsample(scale_factor=1000) for _ in range(4)]),
}


@pytest.mark.parametrize("case", HUGE)
def test_a_layer_that_asks_for_much_is_one_error(cli, tmp_path, case):
    torch.save(nn.Sequential(nn.Conv1d(1, 1, 1), HUGE[case]()), tmp_path / "m.pt")
    assert (tmp_path / "m.pt").stat().st_size < 10_000
    done = cli("check", "m.pt", "--layer", "0", "--input-shape", "1,1,5", timeout=SECONDS, memory=MEMORY)
    assert_one_error(done)
