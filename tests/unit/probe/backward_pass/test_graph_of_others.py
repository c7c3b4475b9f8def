"""A backward of gradflow's own leaves the graph that the model had made before, or keeps, as it is."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
import torch
from torch import nn

import gradflow


class Remembering(nn.Module):
    """Computes one factor, once, and keeps it where a run cannot see it."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(3, 3)
        self.weight = nn.Parameter(torch.randn(3, 3))
        self.kept = threading.local()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not hasattr(self.kept, "factor"):
            self.kept.factor = self.first(self.weight).square()
        return self.first(x) @ self.kept.factor


@pytest.mark.parametrize("is_warm", [True, False])
@pytest.mark.parametrize(
    "ask",
    [
        lambda model, x: gradflow.audit(model, inputs=x),
        lambda model, x: gradflow.check(model, [], parameter="weight", inputs=x),
    ],
)
def test_what_the_model_keeps_can_still_be_differentiated(
    ask: Callable[[nn.Module, torch.Tensor], object], *, is_warm: bool
) -> None:
    model, x = Remembering(), torch.rand(2, 3)
    before = model(x).sum() if is_warm else None
    ask(model, x)
    (model(x).sum() if before is None else before).backward()
    assert model.weight.grad is not None
