"""A frozen model has a map whatever its input comes in."""

from __future__ import annotations

import dataclasses
from collections import UserDict
from typing import Any, NamedTuple

import pytest
import torch
from torch import nn

import gradflow


class Pair(NamedTuple):
    image: torch.Tensor


@dataclasses.dataclass
class Batch:
    image: torch.Tensor


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(1, 2, 3)

    def forward(self, batch: Any) -> torch.Tensor:
        image = batch["image"] if isinstance(batch, dict | UserDict) else batch.image
        return self.conv(image).square().mean((2, 3))


@pytest.mark.parametrize(
    "hold", [Pair, Batch, lambda image: UserDict(image=image), lambda image: {"image": image}], ids=lambda f: f.__name__
)
def test_the_map_is_that_of_the_plain_input(hold: Any) -> None:
    image = torch.randn(1, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    asked = {"target": 0, "cam": True}
    frozen = gradflow.check(Net().requires_grad_(False).eval(), "conv", inputs=(hold(image),), **asked)
    plain = gradflow.check(Net().eval(), "conv", inputs=(hold(image),), **asked)
    assert plain.cam is not None
    assert frozen.cam is not None, frozen.cam_refusal
    assert (frozen.cam.saliency == plain.cam.saliency).all()
