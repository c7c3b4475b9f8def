"""What could not be determined names its place as findings do: a short path, not where the machine keeps it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

import gradflow

SIDES = """\
import itertools
import numpy as np
import torch

COUNT = itertools.count(1)

def through_numpy(x):
    return torch.from_numpy(np.tanh(x.detach().numpy()))

def another_each_time(x):
    return x * (x.mean().item() * next(COUNT))
"""

TWO_SIDES = """
def as_power(x):
    return torch.from_numpy(np.exp(x.detach().numpy()))

def both_halves(x):
    return through_numpy(x[:, :2]).repeat(1, 2) + as_power(x[:, 2:]).repeat(1, 2)
"""


class Floor(torch.autograd.Function):
    """A step whose gradient is deliberately that of the identity."""

    @staticmethod
    def forward(ctx, x):
        return x.floor()

    @staticmethod
    def backward(ctx, gradient):
        return gradient


class Beside(nn.Module):
    def __init__(self, side, between) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)
        self.head = nn.Linear(4, 2)
        self.side = side
        self.between = between

    def forward(self, x):
        x = self.between(self.layer(x) * 8)
        return self.head(x * self.side(x))


@pytest.mark.parametrize("folder", ["sides", "site-packages"])
@pytest.mark.parametrize(
    ("side", "between", "said"),
    [
        ("through_numpy", Floor.apply, "how much of the gradient is lost at {}:8:"),
        ("another_each_time", torch.tanh, "whether what leaves torch at {}:11:"),
    ],
)
def test_the_place_is_shortened(
    side: str, between, said: str, folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / folder / "sides_of_layer.py"
    path.parent.mkdir()
    path.write_text(SIDES)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(path.parent)
    import sides_of_layer

    torch.manual_seed(0)
    model = Beside(getattr(sides_of_layer, side), between)
    text = " ".join(gradflow.check(model, "layer", inputs=torch.randn(3, 4)).undetermined)
    # of an installed package from the package on, else from the current folder
    shown = path.name if folder == "site-packages" else f"{folder}/{path.name}"
    assert said.format(shown) in text
    assert str(tmp_path) not in text


def test_places_with_the_same_reason_are_told_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "site-packages" / "sides_of_two.py"
    path.parent.mkdir()
    path.write_text(SIDES + TWO_SIDES)
    monkeypatch.syspath_prepend(path.parent)
    import sides_of_two

    torch.manual_seed(0)
    model = Beside(sides_of_two.both_halves, Floor.apply)
    report = gradflow.check(model, "layer", inputs=torch.randn(3, 4))
    (said,) = [text for text in report.undetermined if text.startswith("how much of the gradient is lost")]
    assert said.count("sides_of_two.py:") == 2
