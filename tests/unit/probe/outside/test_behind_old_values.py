"""A layer that ran before, and whose output an earlier pass has kept with its graph: not seen is not unused."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import gradflow


class Memo(nn.Module):
    """``other`` has no part in what is kept."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.other, self.head = nn.Linear(3, 4), nn.Linear(3, 4), nn.Linear(4, 2)
        self.kept: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        if self.kept is None:
            self.kept = torch.tanh(self.body(x))
        return self.head(self.kept)


@pytest.mark.parametrize(("layer", "verdict"), [("body", "not determined"), ("other", "unused")])
@pytest.mark.parametrize("is_freed", [False, True])
def test_what_an_earlier_pass_has_kept(layer: str, verdict: str, is_freed: bool) -> None:
    model, x = Memo(), torch.randn(2, 3)
    score = model(x).sum()
    if is_freed:
        score.backward()
    report = gradflow.check(model, layer, inputs=x)
    assert report.verdict == verdict
    assert any("its graph leads to `body." in text for text in report.undetermined) == (layer == "body")
