"""A warning that the user's filters make an error is raised by the model, and no mistake of gradflow."""

from __future__ import annotations

import warnings

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

import gradflow  # noqa: E402
from gradflow.errors import ModelRaisedError  # noqa: E402


class Warns(nn.Module):
    def __init__(self, by_torch: bool) -> None:
        super().__init__()
        self.layer, self.by_torch = nn.Linear(4, 2), by_torch

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.by_torch:
            x.T.T.expand(2, 3, 4).T  # noqa: B018  (torch warns of that, in C++)
        else:
            warnings.warn("an old way to do it", stacklevel=1)
        return self.layer(x)


@pytest.mark.parametrize("by_torch", [False, True])
def test_it_is_told_as_what_the_model_raised(by_torch: bool) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ModelRaisedError, match="the model raised UserWarning"):
            gradflow.check(Warns(by_torch), "layer", inputs=torch.ones(3, 4))


def test_it_is_a_warning_where_nobody_makes_it_an_error() -> None:
    with pytest.warns(UserWarning, match="an old way"):
        report = gradflow.check(Warns(by_torch=False), "layer", inputs=torch.ones(3, 4))
    assert report.verdict == "connected"
