"""The picture size that a model declares, and the one that it was built for."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from gradflow.load.inputs.input_guess import guess_inputs


class PatchEmbed(nn.Module):
    def __init__(self, img_size: tuple[int, int] | None) -> None:
        super().__init__()
        self.img_size = img_size
        self.proj = nn.Conv2d(3, 4, 8, 8)


class Declared(nn.Module):
    def __init__(self, img_size: tuple[int, int] | None) -> None:
        super().__init__()
        self.pretrained_cfg = {"input_size": (3, 224, 224)}
        self.patch_embed = PatchEmbed(img_size)


@pytest.mark.parametrize(
    ("img_size", "shape", "reason"),
    [
        (None, (1, 3, 224, 224), "trained weights"),
        ((224, 224), (1, 3, 224, 224), "trained weights"),
        ((64, 96), (1, 3, 64, 96), "built for"),
    ],
)
def test_the_size_that_a_model_was_built_for_counts(
    img_size: tuple[int, int] | None, shape: tuple[int, ...], reason: str
) -> None:
    guess = guess_inputs(Declared(img_size), input_size=None, seed=0)
    [picture] = guess.arguments
    assert isinstance(picture, torch.Tensor)
    assert tuple(picture.shape) == shape
    assert reason in guess.reason
